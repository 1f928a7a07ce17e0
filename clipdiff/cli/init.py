"""``clipdiff init``."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from clipdiff.study import PRESETS, write_study


def command(
    folder: Annotated[Path, typer.Argument(help="Where to; it may have other files already.")],
    preset: Annotated[
        str, typer.Option(help=f"What to start from: {', '.join(PRESETS)}.")
    ] = "demo",
) -> None:
    """Write a small study: a folder that the installed workflow runs in, outside any checkout."""
    paths = write_study(folder, preset)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{folder}: wrote {', '.join(paths)}. Next:", markup=False)
    console.print(f"  cd {shlex.quote(str(folder))} && clipdiff check", markup=False)
    console.print(f"  {PRESETS[preset].run}", markup=False)
