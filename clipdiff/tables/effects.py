"""Do finetuning, the LLM and the loss matter? The numbers of the answer, by metric and split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

import numpy as np
import pandas as pd

from clipdiff.config.stages import GatherSettings
from clipdiff.stats.paired import holm
from clipdiff.stats.variance import variance_shares
from clipdiff.tables.measures import FINETUNED, MEASURES, Measure, reported_splits
from clipdiff.tables.summary import select

AXES = ("llm", "loss")
SEEN = 2.0  # a difference below so many standard deviations over seeds could be another seed's


@dataclass(frozen=True)
class Contrast:
    """Two names of an axis: ``first`` is above ``last`` by ``gain``, all else averaged.

    They are those farthest apart, of the pairs that survive if any do. ``p_holm`` is theirs among
    the ``pairs``, of which ``differ`` survive; ``p_split`` the same corrected over the splits of
    the metric, on which ``survives`` rests. ``reach`` is the end of an interval that is farthest
    from 0: what may be there unseen.
    """

    first: str
    last: str
    gain: float
    low: float
    high: float
    p_holm: float
    pairs: int
    differ: int
    reach: float
    p_split: float
    survives: bool = False


@dataclass(frozen=True)
class Effect:
    """One metric on one split, with finetuned weights.

    ``better`` and ``worse`` count the cells that differ from ``before``, the pretrained CLIP's
    value, after Holm; ``lowest`` and ``highest`` are the ends of the cells' gains. ``noise`` is
    the standard deviation over seeds, mean of the cells, and ``shares`` those of the variance
    between runs; NaN and None with one seed. ``contrasts`` has no entry for an axis of one name.
    """

    measure: Measure
    split: str
    before: float
    cells: int
    better: int
    worse: int
    lowest: float
    highest: float
    noise: float
    shares: dict[str, float] | None
    contrasts: dict[str, Contrast]

    def matters(self, axis: str) -> bool:
        """Return whether an axis is beyond chance here, and beyond what another seed changes."""
        found = self.contrasts.get(axis)
        return bool(found and found.survives and not found.gain < SEEN * self.noise)


def find_effects(
    settings: GatherSettings, long: pd.DataFrame, summary: pd.DataFrame, tests: pd.DataFrame
) -> list[Effect]:
    """Return one effect a measure and reported split that finetuned cells were measured on.

    Args:
        settings: the grid and the level of the tests.
        long, summary, tests: ``tables/metrics.csv``, ``summary.csv`` and ``tests.csv``.
    """
    effects = list(_uncorrected(settings, long, summary, tests))
    found = []
    for _, group in groupby(effects, attrgetter("measure")):
        found += _over_splits(list(group), settings.gather.alpha)
    return found


def by_measure(effects: Sequence[Effect]) -> dict[Measure, list[Effect]]:
    """Return the effects of each main metric, one a split."""
    groups: dict[Measure, list[Effect]] = {}
    for effect in effects:
        if effect.measure.main:
            groups.setdefault(effect.measure, []).append(effect)
    return groups


def _uncorrected(
    settings: GatherSettings, long: pd.DataFrame, summary: pd.DataFrame, tests: pd.DataFrame
) -> Iterator[Effect]:
    for measure in MEASURES:
        for split in reported_splits(settings.evaluate):
            rows = select(summary, measure, split, FINETUNED)
            cells, before = rows[rows["kind"] == "cell"], rows[rows["kind"] == "pretrained"]
            if cells["gain"].notna().any():
                held = _of(tests, measure, split)
                contrasts = {axis: _contrast(held[held["kind"] == axis]) for axis in AXES}
                yield Effect(
                    measure=measure,
                    split=split,
                    before=float(before["mean"].iloc[0]),
                    cells=len(cells),
                    better=int((cells["survives"] & (cells["gain"] > 0)).sum()),
                    worse=int((cells["survives"] & (cells["gain"] < 0)).sum()),
                    lowest=float(cells["gain"].min()),
                    highest=float(cells["gain"].max()),
                    noise=float(cells["sd"].mean()),
                    shares=_shares(settings, _of(long, measure, split)),
                    contrasts={axis: found for axis, found in contrasts.items() if found},
                )


def _of(table: pd.DataFrame, measure: Measure, split: str) -> pd.DataFrame:
    same = (table["task"] == measure.task) & (table["metric"] == measure.metric)
    return table[same & (table["split"] == split) & (table["weights"] == FINETUNED)]


def _contrast(pairs: pd.DataFrame) -> Contrast | None:
    """Return the pair of names that is farthest apart, of those that survive if any do."""
    if pairs.empty:
        return None
    survivors = pairs[pairs["survives"]]
    shown = pairs if survivors.empty else survivors
    ends = shown.loc[shown["gain"].abs().idxmax()]
    sign = 1 if ends["gain"] >= 0 else -1
    names = (ends["first"], ends["second"])[::sign]
    low, high = sorted((sign * ends["ci_low"], sign * ends["ci_high"]))
    return Contrast(
        *names,
        gain=float(sign * ends["gain"]),
        low=float(low),
        high=float(high),
        p_holm=float(ends["p_holm"]),
        pairs=len(pairs),
        differ=int(pairs["survives"].sum()),
        reach=float(pairs[["ci_low", "ci_high"]].abs().to_numpy().max()),
        p_split=float(ends["p_holm"]),
    )


def _over_splits(effects: list[Effect], alpha: float) -> list[Effect]:
    """Correct the splits of one metric for each other, axis by axis."""
    contrasts = [dict(effect.contrasts) for effect in effects]
    for axis in AXES:
        having = [found for found in contrasts if axis in found]
        corrected = holm([found[axis].p_split for found in having])
        for found, p in zip(having, corrected, strict=True):
            found[axis] = replace(found[axis], p_split=float(p), survives=bool(p < alpha))
    return [replace(e, contrasts=found) for e, found in zip(effects, contrasts, strict=True)]


def _shares(settings: GatherSettings, rows: pd.DataFrame) -> dict[str, float] | None:
    """Split the variance of the grid's runs; None with one seed or where runs are missing."""
    shape = (len(settings.llms), len(settings.losses), len(settings.seeds))
    grid = rows[rows["llm"].isin(settings.llms)].sort_values(["llm", "loss", "seed"])
    if len(settings.seeds) < 2 or len(grid) != np.prod(shape):
        return None
    return variance_shares(grid["value"].to_numpy().reshape(shape))
