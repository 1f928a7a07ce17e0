"""Do finetuning, the LLM and the loss matter? The numbers of the answer, by measure and split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from operator import attrgetter

import numpy as np
import pandas as pd

from clipdiff.config.stages import GatherSettings
from clipdiff.stats.paired import holm
from clipdiff.stats.variance import variance_shares
from clipdiff.tables.scope import FINETUNED, measures_of, reported_splits
from clipdiff.tables.summary.arms import select
from clipdiff.tasks.base import Measure

AXES = ("llm", "loss")
BEYOND_SEEDS = 2.0  # below so many standard deviations over seeds it may be the seed


class Matter(StrEnum):
    """Whether an axis matters to a measure."""

    YES = "Yes"
    LITTLE = "Little"
    """Beyond chance, but within what another seed changes."""
    UNSEEN = "Not that this run could show"


@dataclass(frozen=True)
class Gap:
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
    """One measure on one split, with finetuned weights.

    ``better`` and ``worse`` count the arms of the grid, of ``arms``, that differ from ``before``,
    the pretrained CLIP's value, after Holm; ``lowest`` and ``highest`` are the ends of their gains.
    ``noise`` is the standard deviation over seeds, mean of the arms, and ``shares`` those of the
    variance between cells; NaN and None with one seed. ``gaps`` has no entry for an axis of one
    name.
    """

    measure: Measure
    split: str
    before: float
    arms: int
    better: int
    worse: int
    lowest: float
    highest: float
    noise: float
    shares: dict[str, float] | None
    gaps: dict[str, Gap]

    def matters(self, axis: str) -> bool:
        """Return whether an axis is beyond chance here, and beyond what another seed changes."""
        gap = self.gaps.get(axis)
        return bool(gap and gap.survives and not gap.gain < BEYOND_SEEDS * self.noise)


def find_effects(
    settings: GatherSettings, long: pd.DataFrame, summary: pd.DataFrame, tests: pd.DataFrame
) -> list[Effect]:
    """Return one effect a measure and reported split that finetuned cells were measured on.

    Args:
        settings: the grid and the level of the tests.
        long, summary, tests: ``tables/metrics.csv``, ``summary.csv`` and ``tests.csv``.
    """
    uncorrected = _uncorrected(settings, long, summary, tests)
    return [
        effect
        for _, group in groupby(uncorrected, attrgetter("measure"))
        for effect in _over_splits(list(group), settings.gather.alpha)
    ]


def by_measure(effects: Sequence[Effect]) -> dict[Measure, list[Effect]]:
    """Return the effects of each main measure, one a split."""
    groups: dict[Measure, list[Effect]] = {}
    for effect in effects:
        if effect.measure.main:
            groups.setdefault(effect.measure, []).append(effect)
    return groups


def how_much(group: Sequence[Effect], axis: str) -> Matter | None:
    """Return whether an axis matters to a measure on its splits; None where it has one name."""
    gaps = [effect.gaps[axis] for effect in group if axis in effect.gaps]
    if not gaps:
        return None
    if any(effect.matters(axis) for effect in group):
        return Matter.YES
    return Matter.LITTLE if any(gap.survives for gap in gaps) else Matter.UNSEEN


def totals(group: Sequence[Effect]) -> tuple[int, int, int]:
    """Return how many arms are better, worse, and how many there are, over all splits."""
    names = ("better", "worse", "arms")
    better, worse, arms = (sum(getattr(effect, name) for effect in group) for name in names)
    return better, worse, arms


def _uncorrected(
    settings: GatherSettings, long: pd.DataFrame, summary: pd.DataFrame, tests: pd.DataFrame
) -> Iterator[Effect]:
    for measure in measures_of(settings):
        for split in reported_splits(settings.evaluate):
            rows = select(summary, measure, split, FINETUNED)
            arms, before = rows[rows["kind"] == "cell"], rows[rows["kind"] == "pretrained"]
            if arms["gain"].notna().any():
                here = _of(tests, measure, split)
                gaps = {axis: _gap(here[here["kind"] == axis]) for axis in AXES}
                yield Effect(
                    measure=measure,
                    split=split,
                    before=float(before["mean"].iloc[0]),
                    arms=len(arms),
                    better=int((arms["survives"] & (arms["gain"] > 0)).sum()),
                    worse=int((arms["survives"] & (arms["gain"] < 0)).sum()),
                    lowest=float(arms["gain"].min()),
                    highest=float(arms["gain"].max()),
                    noise=float(arms["sd"].mean()),
                    shares=_shares(settings, _of(long, measure, split)),
                    gaps={axis: gap for axis, gap in gaps.items() if gap},
                )


def _of(table: pd.DataFrame, measure: Measure, split: str) -> pd.DataFrame:
    same = (table["task"] == measure.task) & (table["metric"] == measure.metric)
    return table[same & (table["split"] == split) & (table["weights"] == FINETUNED)]


def _gap(pairs: pd.DataFrame) -> Gap | None:
    """Return the pair of names that is farthest apart, of those that survive if any do."""
    if pairs.empty:
        return None
    survivors = pairs[pairs["survives"]]
    candidates = pairs if survivors.empty else survivors
    ends = candidates.iloc[candidates["gain"].abs().argmax()]
    sign = 1 if ends["gain"] >= 0 else -1
    first, last = (str(ends["first"]), str(ends["second"]))[::sign]
    low, high = sorted((sign * ends["ci_low"], sign * ends["ci_high"]))
    return Gap(
        first=first,
        last=last,
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
    """Correct the splits of one measure for each other, axis by axis."""
    by_split = [dict(effect.gaps) for effect in effects]
    for axis in AXES:
        having = [gaps for gaps in by_split if axis in gaps]
        corrected = holm([gaps[axis].p_split for gaps in having])
        for gaps, p in zip(having, corrected, strict=True):
            gaps[axis] = replace(gaps[axis], p_split=float(p), survives=bool(p < alpha))
    return [replace(e, gaps=gaps) for e, gaps in zip(effects, by_split, strict=True)]


def _shares(settings: GatherSettings, rows: pd.DataFrame) -> dict[str, float] | None:
    """Split the variance of the grid's cells; None with one seed or where cells are missing."""
    shape = (len(settings.llms), len(settings.losses), len(settings.seeds))
    grid = rows[rows["llm"].isin(settings.llms)].sort_values(["llm", "loss", "seed"])
    if len(settings.seeds) < 2 or len(grid) != np.prod(shape):
        return None
    return variance_shares(grid["value"].to_numpy().reshape(shape))
