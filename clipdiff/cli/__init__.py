"""The command line: one verb a stage, one file a verb; a stage is imported only when called."""

import sys
from types import ModuleType
from typing import Annotated

import typer
from rich.console import Console

from clipdiff import __version__
from clipdiff.cli import (
    check,
    data,
    embed,
    estimate,
    evaluate,
    export,
    filter,
    gather,
    generate,
    init,
    prepare,
    prompt,
    questions,
    trace,
    train,
)
from clipdiff.errors import ClipdiffError

STAGES = (prepare, embed, questions, generate, filter, train, evaluate, gather)


def _name(verb: ModuleType) -> str:
    return verb.__name__.rsplit(".", 1)[-1]


app = typer.Typer(
    epilog="The whole grid runs with `snakemake --profile profiles/local`; these are its stages "
    f"by hand, in the order of the data: {', '.join(map(_name, STAGES))}.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"clipdiff {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Say it and leave."),
    ] = False,
) -> None:
    """Finetune CLIP on pairwise image differences: which LLM, which loss?"""


for verb in (init, *STAGES, trace, export, check, estimate):
    app.command(_name(verb))(verb.command)
app.add_typer(prompt.app, name="prompt")
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the command line; a user's error prints its message and exits with 1."""
    try:
        app()
    except ClipdiffError as error:
        Console(stderr=True, soft_wrap=True).print(
            f"[bold red]error:[/] {type(error).__name__}:", end=" "
        )
        sys.exit(f"{error}")
