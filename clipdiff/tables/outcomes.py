"""Per-item outcomes of all cells, item beside item."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from clipdiff.errors import DataError
from clipdiff.files import read_parquet
from clipdiff.grid import Results, Variant
from clipdiff.tables.measures import Measure

COLUMNS = ("task", "split", "weights", "metric", "item_id", "value", "image_id_1", "image_id_2")


@dataclass(frozen=True)
class Items:
    """The N items of a measure on a split, the same in every cell.

    ``image_id_2`` is None for one-picture items; ``groups`` (N,) int64 number the tasks of a
    grouped measure, whose value is the mean of the tasks' means.
    """

    tasks: np.ndarray
    item_ids: np.ndarray
    image_id_1: np.ndarray
    image_id_2: np.ndarray | None
    groups: np.ndarray | None


@dataclass(frozen=True)
class Outcomes:
    """One measure on one split with one weight setting: values (N,) of every variant."""

    measure: Measure
    split: str
    weights: str
    items: Items
    pretrained: np.ndarray
    values: dict[Variant, np.ndarray]

    def cell_mean(self, llm: str, loss: str) -> np.ndarray:
        """Return (N,) outcomes of one cell, averaged per item over its seeds."""
        seeds = [values for v, values in self.values.items() if (v.llm, v.loss) == (llm, loss)]
        return np.mean(seeds, axis=0)


def read_outcomes(
    files: Results, variants: Sequence[Variant], measures: Sequence[Measure]
) -> list[Outcomes]:
    """Read what ``evaluate`` kept of each item, for some measures.

    A measure that the pretrained row lacks on a split is left out there.

    Raises:
        DataError: an items file is missing or truncated, or its items are not those of the
            pretrained row.
    """
    items: dict[tuple[Measure, str], Items] = {}
    pretrained: dict[tuple[Measure, str], np.ndarray] = {}
    values: dict[tuple[Measure, str, str], dict[Variant, np.ndarray]] = {}
    for variant in sorted(variants, key=lambda variant: not variant.is_pretrained):
        path = files.items(variant)
        for measure, split, weights, part in _parts(path, measures):
            if variant.is_pretrained:
                items[measure, split] = _items(part, measure)
                pretrained[measure, split] = part["value"].to_numpy()
            elif (measure, split) in items:
                _check_same(items[measure, split], part, path)
                cells = values.setdefault((measure, split, weights), {})
                cells[variant] = part["value"].to_numpy()
    return [
        Outcomes(*key, items[key[:2]], pretrained[key[:2]], cells) for key, cells in values.items()
    ]


def _parts(
    path: Path, measures: Sequence[Measure]
) -> Iterator[tuple[Measure, str, str, pd.DataFrame]]:
    """Yield the sorted items of each measure, split and weight setting of one file."""
    names = dict.fromkeys(("task", "split", "weights", "metric"), "category")
    table = read_parquet(path, COLUMNS).astype(names)  # compared as numbers, not as texts
    for measure in measures:
        tasks = [task for task in table["task"].cat.categories if measure.holds(task)]
        rows = table[table["task"].isin(tasks) & (table["metric"] == measure.metric)]
        rows = rows.sort_values(["task", "item_id"], kind="stable")
        for (split, weights), part in rows.groupby(["split", "weights"], observed=True):
            yield measure, str(split), str(weights), part


def _items(part: pd.DataFrame, measure: Measure) -> Items:
    paired = part["image_id_2"].notna().all()
    tasks, groups = part["task"].to_numpy(str), None
    if measure.grouped:
        groups = np.unique(tasks, return_inverse=True)[1]
    return Items(
        tasks=tasks,
        item_ids=part["item_id"].to_numpy(),
        image_id_1=part["image_id_1"].to_numpy(np.int64),
        image_id_2=part["image_id_2"].to_numpy(np.int64) if paired else None,
        groups=groups,
    )


def _check_same(known: Items, part: pd.DataFrame, path: Path) -> None:
    same = np.array_equal(known.item_ids, part["item_id"]) and np.array_equal(
        known.image_id_1, part["image_id_1"]
    )
    if not same:
        raise DataError(
            f"{path}: its {len(part)} items of {part['task'].iloc[0]} on {part['split'].iloc[0]} "
            f"are not the {len(known.item_ids)} of the pretrained row, so they can't be compared; "
            "evaluate all cells with the same settings"
        )
