"""``clipdiff trace``."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from clipdiff.cli import options as o
from clipdiff.errors import ConfigError
from clipdiff.grid import Layout

if TYPE_CHECKING:
    import pandas as pd

    from clipdiff.tables.trace.number import Number

WORST_ITEMS = 3  # are told where none is named
TOLERANCE = 1e-9
IMAGE_FACTS = ("image_id", "path", "caption", "split", "label", "attributes")


def command(
    metric: Annotated[
        str, typer.Option("--metric", help="TASK:METRIC, such as difference/size:accuracy.")
    ],
    split: Annotated[str, typer.Option("--split", help="A split of metrics.csv.")],
    cell: o.CellText = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="finetuned, averaged-0.50, ...")
    ] = None,
    item: Annotated[
        int | None, typer.Option("--item", help="One item_id; else the worst are told.")
    ] = None,
    results: o.ResultsFolder = None,
) -> None:
    """Trace one number back to its images, texts, model, settings and commits."""
    task, _, name = metric.rpartition(":")
    if not task:
        raise ConfigError(f"--metric: got '{metric}', expected TASK:METRIC, such as zero_shot:acc1")
    layout, whose = o.layout(results), o.parse_cell(cell)
    weights = weights or ("pretrained" if whose.is_pretrained else "finetuned")
    names = {"split": split, "task": task, "metric": name, "weights": weights}
    from clipdiff.tables.trace.number import find_number, select_items
    from clipdiff.tables.trace.origin import find_origin

    number = find_number(layout, whose, names)
    items = select_items(number, item, WORST_ITEMS)
    for line in [*_value(number), *_items(layout, number, items)]:
        typer.echo(line)
    origin = find_origin(layout, whose, number.provenance)
    for fact, text in origin.facts:
        typer.echo(f"{fact}: {text}")
    for warning in origin.warnings:
        typer.echo(f"WARNING: {warning}")


def _value(number: "Number") -> Iterator[str]:
    row = number.row
    yield (
        f"{number.cell}, {row['weights']} weights, {row['split']}, {row['task']}:"
        f"{row['metric']} = {row['value']:.6f} [{row['ci_low']:.6f}, {row['ci_high']:.6f}], "
        f"n = {row['n']}"
    )
    if number.recomputed is None:
        yield "its items are not kept, so it can't be made again from them"
    elif abs(number.recomputed - row["value"]) < TOLERANCE:
        yield f"made again from {len(number.items)} items: the same"
    else:
        yield f"WARNING: made again from {len(number.items)} items: {number.recomputed:.6f}"


def _items(layout: Layout, number: "Number", items: "pd.DataFrame") -> Iterator[str]:
    """Tell each item: its value, its text, and its images or classes."""
    import pandas as pd

    from clipdiff.evaluate.item_texts import item_texts
    from clipdiff.files import read_parquet
    from clipdiff.tables.trace.number import describe_image

    if items.empty:
        return
    row = number.row
    names = (row["split"], row["task"], row["metric"])
    scored = item_texts(number.provenance.settings, layout, *names)
    captions = read_parquet(layout.captions, IMAGE_FACTS, optional=()).set_index("image_id")
    for item in items.to_dict("records"):
        ids = [int(item[name]) for name in ("image_id_1", "image_id_2") if pd.notna(item[name])]
        text = scored.texts.get(int(item["item_id"]))
        yield f"item {item['item_id']}: value {item['value']:.6f}"
        if text is None:
            yield f"  its text can't be told: {scored.reason}"
        elif text.ids != tuple(ids):
            yield "  its text can't be told: settings or images are not those of the evaluation"
        else:
            yield f"  text: {text.text}"
        if text is not None and text.classes:
            yield f"  classes: {', '.join(text.classes)}"
        elif not scored.of_classes:
            for image_id in ids:
                yield f"  {describe_image(captions, image_id)}"
