"""``clipdiff export``."""

from pathlib import Path
from typing import Annotated

import typer

from clipdiff.cli import options as o


def command(
    output: Annotated[Path, typer.Argument(help="Folder to write.")],
    cell: o.CellText = None,
    results: o.ResultsFolder = None,
) -> None:
    """Copy one finetuned model with a model card, ready for `local-dir:` or a hub."""
    from clipdiff.export.card import export_model

    export_model(o.layout(results), o.parse_cell(cell), output)
    typer.echo(f"{output}: load it with open_clip.create_model('local-dir:{output}')")
