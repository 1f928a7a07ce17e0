"""``clipdiff data check``."""

import typer
from rich.console import Console

from clipdiff.cli import options as o
from clipdiff.config import load_config

app = typer.Typer(no_args_is_help=True)


@app.callback()
def data() -> None:
    """Look at data sets."""


@app.command("check")
def check(config: o.ConfigFiles = o.DEFAULT_CONFIG) -> None:
    """Say which data sets are in place, how large they are, and what to download of the others."""
    from clipdiff.planning.findings import data_sets, set_findings

    console = Console(soft_wrap=True)
    in_place = []
    for entry, keys in data_sets(load_config(*config)):
        marks = []
        for fine, text in set_findings(entry, keys):
            console.print("[green]ok[/]      " if fine else "[red]missing[/] ", end="")
            console.print(text, markup=False, highlight=False)
            marks.append(fine)
        in_place.append(all(marks))
    count = f"{sum(in_place)} of {len(in_place)} data sets are in place"
    console.print(count, highlight=False)
    if not all(in_place):
        console.print("unpack what is named above into its folder, and check again")
        raise typer.Exit(1)
