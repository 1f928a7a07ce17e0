"""``clipdiff data check``."""

from collections.abc import Iterator

import typer
from rich.console import Console

from clipdiff.cli import options as o
from clipdiff.config import Config, load_config
from clipdiff.datasets.base import DatasetEntry

app = typer.Typer(no_args_is_help=True)


@app.callback()
def data() -> None:
    """Look at data sets."""


@app.command("check")
def check(config: o.ConfigFiles = o.DEFAULT_CONFIG) -> None:
    """Say which data sets are in place, how large they are, and what to download of the others."""
    console = Console(soft_wrap=True)
    in_place = []
    for entry, keys in _sets(load_config(*config)):
        marks = []
        for fine, text in _findings(entry, keys):
            console.print("[green]ok[/]      " if fine else "[red]missing[/] ", end="")
            console.print(text, markup=False, highlight=False)
            marks.append(fine)
        in_place.append(all(marks))
    count = f"{sum(in_place)} of {len(in_place)} data sets are in place"
    console.print(count, highlight=False)
    if not all(in_place):
        console.print("unpack what is named above into its folder, and check again")
        raise typer.Exit(1)


def findings(config: Config) -> Iterator[tuple[bool, str]]:
    """Yield for each configured set whether it is in place, and what a user has to know of it."""
    for entry, keys in _sets(config):
        yield from _findings(entry, keys)


def _findings(entry: DatasetEntry, keys: list[str]) -> Iterator[tuple[bool, str]]:
    for fine, text in entry.findings():
        yield fine, f"{', '.join(keys)}: {text}"


def _sets(config: Config) -> list[tuple[DatasetEntry, list[str]]]:
    """Return each set once, with the dotted keys that name it."""
    section = config.data
    where = next((name for name in ("table", "root") if getattr(section, name)), "source")
    entries = {f"data.{where}": section.training_set()}
    entries |= {f"data.evaluation.{name}": entry for name, entry in section.evaluation.items()}
    sets: dict[str, tuple[DatasetEntry, list[str]]] = {}
    for key, entry in entries.items():
        sets.setdefault(entry.model_dump_json(), (entry, []))[1].append(key)
    return list(sets.values())
