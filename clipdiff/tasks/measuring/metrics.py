"""What a task hands back: per-item values of a metric, and the rows and items made of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL.Image import Image

from clipdiff.settings import Evaluate
from clipdiff.stats.bootstrap import Interval, grouped_mean, image_bootstrap


@dataclass(frozen=True)
class Items:
    """The items that a metric is a mean over; the same in every cell.

    ``ids`` (N,) int64 tell items of one task and split apart; ``image_id_1`` and ``image_id_2``
    (N,) int64 are the images an item rests on (the second None for one-image items).
    """

    ids: np.ndarray
    image_id_1: np.ndarray
    image_id_2: np.ndarray | None = None

    @property
    def image_ids(self) -> tuple[np.ndarray, ...]:
        """The images, (N,) int64 each: one an item, or two."""
        return tuple(ids for ids in (self.image_id_1, self.image_id_2) if ids is not None)

    def take(self, rows: np.ndarray | slice) -> "Items":
        """Return some of the items."""
        second = None if self.image_id_2 is None else self.image_id_2[rows]
        return Items(self.ids[rows], self.image_id_1[rows], second)


@dataclass(frozen=True)
class Metric:
    """One metric of one task: the mean of its items' values, or of its groups' means.

    ``kept``: the items go into the items file. ``stderr`` and ``interval``, where a task knows
    better, stand in for the bootstrap's. ``sheet`` are images to look at, with their legends.
    """

    task: str
    metric: str
    values: np.ndarray  # (N,) float64
    items: Items
    groups: np.ndarray | None = None  # (N,) int64
    kept: bool = False
    stderr: float | None = None
    interval: Interval | None = None
    higher_is_better: bool = True
    sheet: Sequence[tuple[Image, str]] = ()

    @property
    def value(self) -> float:
        """The metric itself."""
        return grouped_mean(self.values, self.groups)


def stderr_over_draws(
    values: np.ndarray, draws: np.ndarray, groups: np.ndarray | None
) -> float | None:
    """Return the standard error of the mean over independent draws; None with fewer than two.

    Args:
        values: (N,) of the items.
        draws: (N,) int64, the draw of each item.
        groups: (N,) int64 or None, as in ``grouped_mean``.
    """
    means = [
        grouped_mean(values[draws == draw], None if groups is None else groups[draws == draw])
        for draw in np.unique(draws)
    ]
    return float(np.std(means, ddof=1) / np.sqrt(len(means))) if len(means) > 1 else None


def metric_row(metric: Metric, split: str, weights: str, evaluate: Evaluate) -> dict[str, object]:
    """Return one row of the metrics file, with its interval."""
    interval = metric.interval or image_bootstrap(
        metric.values,
        metric.items.image_id_1,
        metric.items.image_id_2,
        resamples=evaluate.resamples,
        confidence=evaluate.confidence,
        seed=evaluate.seed,
        groups=metric.groups,
    )
    return {
        "task": metric.task,
        "split": split,
        "weights": weights,
        "metric": metric.metric,
        "value": metric.value,
        "n": len(metric.values),
        "stderr": float(interval.stderr if metric.stderr is None else metric.stderr),
        "ci_low": float(interval.low),
        "ci_high": float(interval.high),
        "higher_is_better": metric.higher_is_better,
    }


def item_rows(metric: Metric, split: str, weights: str) -> pd.DataFrame:
    """Return the per-item values of one metric as rows of the items file."""
    second = metric.items.image_id_2
    table = pd.DataFrame(
        {
            "task": metric.task,
            "split": split,
            "weights": weights,
            "metric": metric.metric,
            "item_id": metric.items.ids,
            "value": metric.values.astype(np.float64),
            "image_id_1": metric.items.image_id_1,
        }
    )
    nothing = pd.Series(pd.NA, table.index, dtype="Int64")
    table["image_id_2"] = nothing if second is None else pd.Series(second, dtype="Int64")
    return table
