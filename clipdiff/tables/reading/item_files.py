"""What each item came to in every cell, item beside item."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from clipdiff.errors import DataError
from clipdiff.files import read_parquet
from clipdiff.grid import Cell, Layout
from clipdiff.tasks.base import Measure

COLUMNS = ("task", "split", "weights", "metric", "item_id", "value", "image_id_1", "image_id_2")


@dataclass(frozen=True)
class MeasureItems:
    """The N items of a measure on a split, the same in every cell.

    ``image_id_2`` is None for one-image items; ``groups`` (N,) int64 number the tasks of a grouped
    measure, whose value is the mean of the tasks' means.
    """

    tasks: np.ndarray
    item_ids: np.ndarray
    image_id_1: np.ndarray
    image_id_2: np.ndarray | None
    groups: np.ndarray | None


@dataclass(frozen=True)
class Outcomes:
    """One measure on one split with one weight setting: values (N,) of every finetuned cell."""

    measure: Measure
    split: str
    weights: str
    items: MeasureItems
    pretrained: np.ndarray
    values: dict[Cell, np.ndarray]

    @property
    def arms(self) -> list[tuple[str, str]]:
        """Row and loss of the cells, each once."""
        return list(dict.fromkeys(cell.arm for cell in self.values))

    def arm_mean(self, arm: tuple[str, str]) -> np.ndarray:
        """Return (N,) outcomes of one arm, averaged per item over its seeds."""
        return np.mean([each for cell, each in self.values.items() if cell.arm == arm], axis=0)


def read_outcomes(
    layout: Layout, cells: Sequence[Cell], measures: Sequence[Measure]
) -> list[Outcomes]:
    """Read what ``evaluate`` kept of each item, for some measures.

    A measure that the pretrained row lacks on a split is left out there.

    Raises:
        DataError: an items file is missing or truncated, or its items are not those of the
            pretrained row.
    """
    items: dict[tuple[Measure, str], MeasureItems] = {}
    pretrained: dict[tuple[Measure, str], np.ndarray] = {}
    values: dict[tuple[Measure, str, str], dict[Cell, np.ndarray]] = {}
    for cell in sorted(cells, key=lambda cell: not cell.is_pretrained):
        path = layout.items(cell)
        for measure, split, weights, part in _parts(path, measures):
            if cell.is_pretrained:
                items[measure, split] = _items(part, measure)
                pretrained[measure, split] = part["value"].to_numpy()
            elif (measure, split) in items:
                _check_same(items[measure, split], part, path)
                by_cell = values.setdefault((measure, split, weights), {})
                by_cell[cell] = part["value"].to_numpy()
    return [
        Outcomes(*key, items[key[:2]], pretrained[key[:2]], by_cell)
        for key, by_cell in values.items()
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


def _items(part: pd.DataFrame, measure: Measure) -> MeasureItems:
    paired = part["image_id_2"].notna().all()
    tasks, groups = part["task"].to_numpy(str), None
    if measure.grouped:
        groups = np.unique(tasks, return_inverse=True)[1]
    return MeasureItems(
        tasks=tasks,
        item_ids=part["item_id"].to_numpy(),
        image_id_1=part["image_id_1"].to_numpy(np.int64),
        image_id_2=part["image_id_2"].to_numpy(np.int64) if paired else None,
        groups=groups,
    )


def _check_same(items: MeasureItems, part: pd.DataFrame, path: Path) -> None:
    same = np.array_equal(items.item_ids, part["item_id"]) and np.array_equal(
        items.image_id_1, part["image_id_1"]
    )
    if not same:
        raise DataError(
            f"{path}: its {len(part)} items of {part['task'].iloc[0]} on {part['split'].iloc[0]} "
            f"are not the {len(items.item_ids)} of the pretrained row, so they can't be compared; "
            "evaluate all cells with the same settings"
        )
