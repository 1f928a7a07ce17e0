"""One number of a metrics file, and the items and images that it is made of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clipdiff.errors import DataError, did_you_mean
from clipdiff.files import read_json, read_parquet
from clipdiff.grid import Cell, Layout
from clipdiff.provenance import Provenance
from clipdiff.tables.reading.item_files import COLUMNS
from clipdiff.tasks.base import Measure
from clipdiff.tasks.measuring.measures import measures_in

LISTED = 8  # cells named in an error
KEYS = ("split", "task", "metric", "weights")


@dataclass(frozen=True)
class Number:
    """A row of a metrics file, its items, and the value that these give; None without any."""

    cell: Cell
    row: Mapping[str, Any]
    provenance: Provenance
    items: pd.DataFrame
    recomputed: float | None


def find_number(layout: Layout, cell: Cell, names: Mapping[str, str]) -> Number:
    """Find one number in a cell's metrics file, and recompute it from its items.

    Args:
        layout: where results lie.
        cell: whose number it is.
        names: ``split, task, metric, weights`` of the row.

    Raises:
        DataError: there is no such cell or row (the nearest name is given), or a file is broken.
    """
    path = layout.metrics(cell)
    if not path.is_file():
        raise DataError(f"{path}: no such cell{_cells_there(layout, cell)}")
    content = read_json(path)
    try:
        provenance = Provenance.parse(content["provenance"], path)
        row = _narrowed(content["rows"], names, path)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path}: not a metrics file of `clipdiff evaluate` ({error}); evaluate the cell again"
        ) from error
    pooled = _pooled(provenance, row)
    items = _items(layout.items(cell), row, pooled)
    own = items[items["task"] == row["task"]]
    parts = items[items["task"] != row["task"]] if pooled else own
    return Number(cell, row, provenance, own, _mean_of_tasks(parts))


def _cells_there(layout: Layout, cell: Cell) -> str:
    """Return the nearest cell that was evaluated, and some of the others."""
    folder = layout.root / "metrics"
    names = [path.relative_to(folder).with_suffix("").as_posix()
             for path in sorted(folder.glob("*/*/seed*.json"))]  # fmt: skip
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    listed = f"; evaluated are {', '.join(names[:LISTED])}{more}" if names else ""
    return did_you_mean(str(cell), names) + listed


def _narrowed(rows: list[dict[str, Any]], names: Mapping[str, str], path: Path) -> dict[str, Any]:
    """Return the one row with all of these names, or say which of them is not there."""
    for key in KEYS:
        allowed = sorted({row[key] for row in rows})
        rows = [row for row in rows if row[key] == names[key]]
        if not rows:
            raise DataError(
                f"{path}: no {key} '{names[key]}'{did_you_mean(names[key], allowed)}; there are: "
                f"{', '.join(allowed)}"
            )
    return rows[0]


def _pooled(provenance: Provenance, row: Mapping[str, Any]) -> Measure | None:
    """Return the measure that the row is a mean over tasks of; None if it is of one task."""
    measures = measures_in(provenance.settings)
    return next((each for each in measures if each.grouped and each.task == row["task"]), None)


def _items(path: Path, row: Mapping[str, Any], pooled: Measure | None) -> pd.DataFrame:
    """Return the items of a metric, and with them those of the tasks that it is the mean of."""
    table = read_parquet(path, COLUMNS)
    for key in ("split", "metric", "weights"):
        table = table[table[key] == row[key]]
    kept = table["task"] == row["task"]
    return table[kept | table["task"].map(pooled.holds)] if pooled else table[kept]


def _mean_of_tasks(items: pd.DataFrame) -> float | None:
    """Return the mean of the tasks' means of their items; None without items."""
    return None if items.empty else float(items.groupby("task")["value"].mean().mean())


def select_items(number: Number, item: int | None, count: int) -> pd.DataFrame:
    """Return one item by its id, or the worst ones.

    Raises:
        DataError: the metric has no such item, or none at all.
    """
    items = number.items
    if item is None:
        order = items.sort_values(
            ["value", "item_id"], ascending=[number.row["higher_is_better"], True]
        )
        return order.head(count)
    if items.empty:
        raise DataError(
            f"--item: {number.row['task']}:{number.row['metric']} keeps no items; ask for its acc1 "
            "or accuracy, which do"
        )
    ids = items["item_id"]
    if item not in set(ids):
        nearest = int(ids.iloc[(ids - item).abs().argmin()])
        raise DataError(
            f"--item: no item {item}, the nearest is {nearest}; there are {len(ids)}, "
            f"{ids.min()} to {ids.max()}"
        )
    return items[ids == item]


def describe_image(captions: pd.DataFrame, image_id: int) -> str:
    """Return what the captions table (by image_id) says of one image, and where it lies."""
    if image_id not in captions.index:
        return f"image {image_id}: not in the captions table any more"
    row = captions.loc[image_id]
    parts = [f"split {row['split']}"]
    for name in ("label", "caption"):
        if isinstance(row[name], str):
            parts.append(f"{name} {row[name]!r}")
    if isinstance(row["attributes"], str):
        attributes = json.loads(row["attributes"]).items()
        parts.append(", ".join(f"{name} {value}" for name, value in attributes))
    parts.append(row["path"] if isinstance(row["path"], str) else "its bytes are in the table")
    return f"image {image_id}: {'; '.join(parts)}"
