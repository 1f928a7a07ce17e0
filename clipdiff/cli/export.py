"""``clipdiff export``."""

from pathlib import Path
from typing import Annotated

import typer

from clipdiff.cli import options as o
from clipdiff.grid import Results


def command(
    output: Annotated[Path, typer.Argument(help="Folder to write.")],
    variant: o.VariantText = None,
    results: o.ResultsFolder = o.DEFAULT_RESULTS,
) -> None:
    """Copy one finetuned model with a model card, ready for `local-dir:` or a hub."""
    from clipdiff.export.card import export_model

    cell, files = o.chosen_variant(variant), Results(results)
    export_model(files.model(cell), files.metrics(cell), output)
    typer.echo(f"{output}: load it with open_clip.create_model('local-dir:{output}')")
