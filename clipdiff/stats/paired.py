"""Paired comparisons on the same items, and what is left of them after Holm's correction."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from clipdiff.stats.bootstrap import Interval, grouped_mean, interval_of, resampled_means


@dataclass(frozen=True)
class Comparison:
    """A mean and its gain over another, both with intervals, and a two-sided p of the gain."""

    value: float
    value_interval: Interval
    gain: float
    interval: Interval
    p: float


def paired_bootstrap(
    values: np.ndarray,
    firsts: np.ndarray,
    seconds: np.ndarray,
    image_id_1: np.ndarray,
    image_id_2: np.ndarray | None,
    *,
    resamples: int,
    confidence: float,
    seed: int,
    groups: np.ndarray | None = None,
) -> list[Comparison]:
    """Compare averages of K sets of values on the same items, by resampling images.

    p is the two-sided Wald test of the gain over its bootstrap standard error: unlike a count of
    resamples it has no floor at 1 / resamples, which a grid of many cells would hit after Holm.
    It never falls below what a sign flip of all images could give.

    Args:
        values: (K, N) float64, such as one row a cell, its seeds averaged per item.
        firsts, seconds: (C, K) float64, rows that sum to 1: comparison c is of
            ``firsts[c] @ values`` with ``seconds[c] @ values``.
        image_id_1, image_id_2, resamples, confidence, seed, groups: as in ``image_bootstrap``.
    """
    resampled = resampled_means(
        values, image_id_1, image_id_2, resamples=resamples, seed=seed, groups=groups
    )
    means = np.array([grouped_mean(row, groups) for row in values])  # (K,)
    other_ids = image_id_1 if image_id_2 is None else image_id_2
    floor = smallest_sign_flip_p(len(np.union1d(image_id_1, other_ids)))
    return [
        _compare(first, second, means, resampled, confidence, floor)
        for first, second in zip(firsts, seconds, strict=True)
    ]


def _compare(
    first: np.ndarray,
    second: np.ndarray,
    means: np.ndarray,
    resampled: np.ndarray,
    confidence: float,
    floor: float,
) -> Comparison:
    """Compare two averages (K,) of the sets' means (K,), in the data and in resamples (K, R)."""
    contrast = first - second
    gain, interval = float(contrast @ means), interval_of(contrast @ resampled, confidence)
    return Comparison(
        value=float(first @ means),
        value_interval=interval_of(first @ resampled, confidence),
        gain=gain,
        interval=interval,
        p=max(wald_p(gain, interval.stderr), floor),
    )


def wald_p(gain: float, stderr: float) -> float:
    """Return the two-sided p of a gain under a normal law; without any spread, 1 or 0."""
    if stderr < 1e-12:  # rounding of equal means
        return 1.0 if abs(gain) < 1e-12 else 0.0
    return float(2 * norm.sf(abs(gain) / stderr))


def mcnemar_over_seeds(hits: np.ndarray, others: np.ndarray) -> float:
    """Return McNemar's exact p for independent items, over several seeds.

    Each seed is tested alone; with S of them the k-th smallest p times S / k, k = ceil(S / 2), is
    a valid p whatever their dependence (Rüger 1978). One seed gives McNemar's own.

    Args:
        hits, others: (S, N) bool, an item right or wrong; row s of one is paired with row s of
            the other.
    """
    ps = []
    for first, second in zip(hits, others, strict=True):
        only_first, only_second = (first & ~second).sum(), (second & ~first).sum()
        ps.append(mcnemar([[0, only_first], [only_second, 0]], exact=True).pvalue)
    half = -(-len(ps) // 2)
    return float(min(1.0, sorted(ps)[half - 1] * len(ps) / half))


def holm(ps: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return Holm-adjusted p values (1979) of one family of comparisons, in the same order."""
    if not len(ps):
        return np.empty(0)
    gc.freeze()  # multipletests collects garbage: 0.1 s a call over all that a run holds
    try:
        return multipletests(ps, method="holm")[1]
    finally:
        gc.unfreeze()


def smallest_sign_flip_p(count: int) -> float:
    """Return the smallest two-sided p that ``count`` paired units can give: 2 / 2^n.

    Three seeds can't go below 0.25, five not below 0.0625: seeds alone prove nothing at 0.05
    before there are six of them, so tests are over items and the spread over seeds stands beside.
    """
    return min(1.0, 2.0 ** (1 - count))
