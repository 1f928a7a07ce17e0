"""``clipdiff trace``."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from clipdiff.cli import options as o
from clipdiff.errors import ClipdiffError, ConfigError
from clipdiff.grid import Results

if TYPE_CHECKING:
    import pandas as pd

    from clipdiff.evaluate.item_texts import ItemText
    from clipdiff.tables.trace import Number

SHOWN = 3  # items, where none is named
TOLERANCE = 1e-9
SAID = ("image_id", "path", "caption", "split", "label", "attributes")  # of a picture


def command(
    metric: Annotated[
        str, typer.Option("--metric", help="TASK:METRIC, such as difference/size:accuracy.")
    ],
    split: Annotated[str, typer.Option("--split", help="A split of metrics.csv.")],
    variant: o.VariantText = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="finetuned, averaged-0.50, ...")
    ] = None,
    item: Annotated[
        int | None, typer.Option("--item", help="One item_id; else the worst are shown.")
    ] = None,
    results: o.ResultsFolder = o.DEFAULT_RESULTS,
) -> None:
    """Trace one number back to its pictures, texts, model, settings and commits."""
    task, _, name = metric.rpartition(":")
    if not task:
        raise ConfigError(f"--metric: got '{metric}', expected TASK:METRIC, such as zero_shot:acc1")
    cell = o.chosen_variant(variant)
    chosen = weights or ("pretrained" if cell.is_pretrained else "finetuned")
    wanted = {"split": split, "task": task, "metric": name, "weights": chosen}
    from clipdiff.files import read_parquet
    from clipdiff.tables.origin import find_origin
    from clipdiff.tables.trace import find_number, shown_items

    files = Results(results)
    number = find_number(files, cell, wanted)
    items = shown_items(number, item, SHOWN)
    for line in _value(number):
        typer.echo(line)
    if not items.empty:
        captions = read_parquet(files.captions, SAID, optional=()).set_index("image_id")
        for line in _items(files, number, items, captions):
            typer.echo(line)
    origin = find_origin(files, cell, number.provenance)
    for fact, text in origin.facts:
        typer.echo(f"{fact}: {text}")
    for warning in origin.warnings:
        typer.echo(f"WARNING: {warning}")


def _value(number: "Number") -> Iterator[str]:
    row = number.row
    yield (
        f"{number.variant.cell}, {row['weights']} weights, {row['split']}, {row['task']}:"
        f"{row['metric']} = {row['value']:.6f} [{row['ci_low']:.6f}, {row['ci_high']:.6f}], "
        f"n = {row['n']}"
    )
    if number.recomputed is None:
        yield "its items are not kept, so it can't be made again from them"
    elif abs(number.recomputed - row["value"]) < TOLERANCE:
        yield f"made again from {len(number.items)} items: the same"
    else:
        yield f"WARNING: made again from {len(number.items)} items: {number.recomputed:.6f}"


def _items(
    files: Results, number: "Number", items: "pd.DataFrame", captions: "pd.DataFrame"
) -> Iterator[str]:
    """Tell each item: its value, its text, and its pictures or classes."""
    import pandas as pd

    from clipdiff.tables.trace import describe_picture

    try:
        texts, reason = _texts(files, number), "the cell's CLIP has a say in it"
    except ClipdiffError as error:
        texts, reason = {}, str(error)
    for row in items.itertuples():
        ids = [int(row.image_id_1)]
        ids += [int(row.image_id_2)] if pd.notna(row.image_id_2) else []
        yield f"item {row.item_id}: value {row.value:.6f}"
        found = texts.get(int(row.item_id))
        if found is None:
            yield f"  its text can't be told: {reason}"
        elif found.ids != tuple(ids):
            yield "  its text can't be told: settings or pictures are not those of the evaluation"
        else:
            yield f"  text: {found.text}"
        if found is not None and found.classes:
            yield f"  classes: {', '.join(found.classes)}"
        elif number.row["task"] != "geometry":
            for image_id in ids:
                yield f"  {describe_picture(captions, image_id)}"


def _texts(files: Results, number: "Number") -> "dict[int, ItemText]":
    """Find the texts of a number's items, with the settings that it was measured by.

    Raises:
        ConfigError, DataError: settings or data are no longer what they were.
    """
    from pydantic import ValidationError

    from clipdiff.config.stages import EvaluateSettings
    from clipdiff.evaluate.item_texts import item_texts

    try:
        settings = EvaluateSettings.model_validate(number.provenance["settings"])
    except ValidationError as error:
        raise ConfigError(f"settings of another version ({error.error_count()} faults)") from error
    row = number.row
    names = (row["split"], row["task"], row["metric"])
    return item_texts(settings, files.captions, files.evaluation_texts, *names)
