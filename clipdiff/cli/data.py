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
        return
    lacking = sum(not fine for fine, _ in found)
    console.print(f"{len(found) - lacking} of {len(found)} data sets are in place", highlight=False)
    if lacking:
        console.print("unpack what is named above into its folder, and check again")
        raise typer.Exit(1)


def findings(config: Config) -> Iterator[Finding]:
    """Yield for each configured set whether it is in place, and what a user has to know of it."""
    from clipdiff.data.sets import SETS

    for (kind, root), names in _configured(config).items():
        chosen = SETS[kind]
        title, terms = f"{', '.join(names)}: {kind} in ", f"\n  licence: {chosen.licence}"
        place = chosen.place(root)
        if missing := chosen.missing_in(place):
            lacks = "nothing of it is there"
            if len(missing) < len(chosen.needs):
                more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
                lacks = f"lacks {', '.join(missing[:SHOWN])}{more}"
            get = f"\n  download: {chosen.archives}\n  from: {chosen.page}"
            yield False, f"{title}{place}: {lacks}{get}\n  unpack into: {root}{terms}"
            continue
        extras = [extra for extra in chosen.extras if (place / extra).exists()]
        also = f", with {', '.join(extras)}" if extras else ""
        yield True, f"{title}{place}: {_size(place)}{also}{terms}"


def _configured(config: Config) -> dict[tuple[str, Path], list[str]]:
    """Return the layout and root of each set, and the dotted keys that name it."""
    sets: dict[tuple[str, Path], list[str]] = {}
    if config.data.source == "coco":
        sets["coco", Path(str(config.data.root))] = ["data.root"]
    for name, entry in config.data.evaluation.items():
        sets.setdefault((entry.layout(name), Path(entry.root)), []).append(
            f"data.evaluation.{name}"
        )
    return sets


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
