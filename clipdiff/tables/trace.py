"""One number, traced back to its items and pictures, and to the model and settings behind it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clipdiff.errors import DataError, did_you_mean
from clipdiff.files import read_json, read_parquet
from clipdiff.grid import Results, Variant
from clipdiff.tables.measures import DIFFERENCE
from clipdiff.tables.outcomes import COLUMNS

LISTED = 8  # cells named in an error
KEYS = ("split", "task", "metric", "weights")


@dataclass(frozen=True)
class Number:
    """A row of a metrics file, its items, and the value that these give; None without any."""

    variant: Variant
    row: Mapping[str, Any]
    provenance: Mapping[str, Any]
    items: pd.DataFrame
    recomputed: float | None


def find_number(files: Results, variant: Variant, wanted: Mapping[str, str]) -> Number:
    """Find one number in a cell's metrics file, and make it again from its items.

    Args:
        files: where results lie.
        variant: the cell.
        wanted: ``split, task, metric, weights`` of the row.

    Raises:
        DataError: there is no such cell or row (the nearest name is told), or a file is broken.
    """
    path = files.metrics(variant)
    if not path.is_file():
        known = [p.relative_to(files.root / "metrics").with_suffix("").as_posix()
                 for p in sorted((files.root / "metrics").glob("*/*/seed*.json"))]  # fmt: skip
        more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
        listed = f"; evaluated are {', '.join(known[:LISTED])}{more}" if known else ""
        raise DataError(f"{path}: no such cell{did_you_mean(variant.cell, known)}{listed}")
    content = read_json(path)
    try:
        rows, facts = content["rows"], content["provenance"]
        row = _narrowed(rows, wanted, path)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path}: not a metrics file of `clipdiff evaluate` ({error}); evaluate the cell again"
        ) from error
    items = _items(files.items(variant), row)
    return Number(variant, row, facts, items[items["task"] == row["task"]], _made_again(items, row))


def _narrowed(rows: list[dict[str, Any]], wanted: Mapping[str, str], path: Path) -> dict[str, Any]:
    """Return the one row with all wanted names, or say which of them is not there."""
    for key in KEYS:
        known = sorted({row[key] for row in rows})
        rows = [row for row in rows if row[key] == wanted[key]]
        if not rows:
            raise DataError(
                f"{path}: no {key} '{wanted[key]}'{did_you_mean(wanted[key], known)}; there are: "
                f"{', '.join(known)}"
            )
    return rows[0]


def _items(path: Path, row: Mapping[str, Any]) -> pd.DataFrame:
    """Return the items of a metric, and with them those of the tasks that it is the mean of."""
    table = read_parquet(path, COLUMNS)
    for key in ("split", "metric", "weights"):
        table = table[table[key] == row[key]]
    pooled = row["task"] == DIFFERENCE.task
    return table[(table["task"] == row["task"]) | (pooled & table["task"].map(DIFFERENCE.holds))]


def _made_again(items: pd.DataFrame, row: Mapping[str, Any]) -> float | None:
    """Return the mean of the items, or of the means of the tasks that are pooled."""
    parts = items[items["task"] != row["task"]] if row["task"] == DIFFERENCE.task else items
    return float(parts.groupby("task")["value"].mean().mean()) if len(parts) else None


def shown_items(number: Number, item: int | None, count: int) -> pd.DataFrame:
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
    chosen = items[items["item_id"] == item]
    if chosen.empty:
        ids = items["item_id"]
        nearest = int(ids.iloc[(ids - item).abs().argmin()])
        raise DataError(
            f"--item: no item {item}, the nearest is {nearest}; there are {len(ids)}, "
            f"{ids.min()} to {ids.max()}"
        )
    return chosen


def describe_picture(captions: pd.DataFrame, image_id: int) -> str:
    """Return what the captions table (by image_id) says of one picture, and where it lies."""
    if image_id not in captions.index:
        return f"picture {image_id}: not in the captions table any more"
    row = captions.loc[image_id]
    parts = [f"split {row['split']}"]
    for name in ("label", "caption"):
        if isinstance(row[name], str):
            parts.append(f"{name} {row[name]!r}")
    if isinstance(row["attributes"], str):
        known = json.loads(row["attributes"]).items()
        parts.append(", ".join(f"{name} {value}" for name, value in known))
    parts.append(row["path"] if isinstance(row["path"], str) else "its bytes are in the table")
    return f"picture {image_id}: {'; '.join(parts)}"
