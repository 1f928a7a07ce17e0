"""``clipdiff prompt show``."""

from typing import Annotated

import typer

from clipdiff.cli import options as o
from clipdiff.config import load_config
from clipdiff.config.entries import answers_of
from clipdiff.config.stages import generate_settings

app = typer.Typer(no_args_is_help=True)


@app.callback()
def prompt() -> None:
    """Look at prompts."""


@app.command("show")
def show(
    llm: o.RowName = None,
    pair: Annotated[int, typer.Option("--pair", help="Its pair_id, or an image_id to reword.")] = 0,
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    results: o.ResultsFolder = None,
) -> None:
    """Show exactly what is sent to an LLM about one pair."""
    whole = load_config(*config)
    row = o.parse_row(llm, whole)
    settings = generate_settings(whole, answers_of(whole, row) or row)
    from clipdiff.llm.preview import preview

    layout = o.layout(results, config)
    typer.echo(preview(settings, layout.captions, layout.pairs, pair))
