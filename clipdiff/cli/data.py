"""``clipdiff data check``."""

import os
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.console import Console

from clipdiff.cli import options as o
from clipdiff.cli.cluster import Finding
from clipdiff.config import Config, load_config

SHOWN = 8  # missing files named for one set

app = typer.Typer(no_args_is_help=True)


@app.callback()
def data() -> None:
    """Look at data sets."""


@app.command("check")
def check(config: o.ConfigFiles = o.DEFAULT_CONFIG) -> None:
    """Say which data sets are in place, how large they are, and what to download of the others."""
    chosen = load_config(*config)
    console = Console(soft_wrap=True)
    found = list(findings(chosen))
    for fine, text in found:
        mark = "[green]ok[/]      " if fine else "[red]missing[/] "
        console.print(mark, end="")
        console.print(text, markup=False, highlight=False)
    if not found:
        console.print(f"data.source: {chosen.data.source} needs no download")
    if not all(fine for fine, _ in found):
        raise typer.Exit(1)


def findings(config: Config) -> Iterator[Finding]:
    """Yield for each configured set whether it is in place, and what a user has to know of it."""
    from clipdiff.data.sets import SETS

    for name, kind, root in _configured(config):
        chosen = SETS[kind]
        terms = f"licence: {chosen.licence}"
        if missing := chosen.missing(root):
            more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            yield (
                False,
                f"{name}: {', '.join(missing[:SHOWN])}{more}; download {chosen.archives} from "
                f"{chosen.page} and unpack into {root}; {terms}",
            )
            continue
        place = chosen.place(root)
        extras = [extra for extra in chosen.extras if (place / extra).exists()]
        also = f", with {', '.join(extras)}" if extras else ""
        yield True, f"{name}: {kind} in {place}, {_size(place)}{also}; {terms}"


def _configured(config: Config) -> Iterator[tuple[str, str, Path]]:
    """Yield the dotted key, layout and root of each set."""
    if config.data.source == "coco":
        yield "data.root", "coco", Path(str(config.data.root))
    for name, entry in config.data.evaluation.items():
        yield f"data.evaluation.{name}", entry.layout(name), Path(entry.root)


def _size(folder: Path) -> str:
    """Return what a folder's files take, in the largest unit that fits."""
    size = float(
        sum(os.path.getsize(f"{at}/{name}") for at, _, names in os.walk(folder) for name in names)
    )
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
