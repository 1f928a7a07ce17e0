"""Bootstrap over images: items that share an image are not independent (Owen 2007).

A resample draws images with replacement; an item weighs as much as the product of its images'
multiplicities. Everything is a matrix product over all resamples at once.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Interval:
    """A standard error and the two ends of an interval, in the unit of the metric."""

    stderr: float
    low: float
    high: float


def image_bootstrap(
    values: np.ndarray,
    image_id_1: np.ndarray,
    image_id_2: np.ndarray | None,
    *,
    resamples: int,
    confidence: float,
    seed: int,
    groups: np.ndarray | None = None,
) -> Interval:
    """Return the percentile interval of a mean of items, by resampling images.

    Args:
        values: (N,) float64, one an item.
        image_id_1: (N,) int64, the image that an item rests on.
        image_id_2: (N,) int64, the second image of a pair; None for one-image items.
        resamples: how often images are drawn.
        confidence: nominal coverage, 0 to 1.
        seed: of the draws; the same images and seed give the same draws, whatever the values.
        groups: (N,) int64 or None; with groups, the mean is that of the groups' means.
    """
    means = resampled_means(
        values[None], image_id_1, image_id_2, resamples=resamples, seed=seed, groups=groups
    )
    return interval_of(means[0], confidence)


def interval_of(means: np.ndarray, confidence: float) -> Interval:
    """Return the standard error and percentile interval of resampled means (R,), NaN left out."""
    means = means[~np.isnan(means)]
    tail = 50 * (1 - confidence)
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(stderr=float(means.std(ddof=1)), low=float(low), high=float(high))


def grouped_mean(values: np.ndarray, groups: np.ndarray | None) -> float:
    """Return the mean of values (N,), or the mean over groups (N,) of their means."""
    if groups is None:
        return float(values.mean())
    _, places, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return float((np.bincount(places, values) / counts).mean())


def resampled_means(
    values: np.ndarray,
    image_id_1: np.ndarray,
    image_id_2: np.ndarray | None,
    *,
    resamples: int,
    seed: int,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Return (K, R) means of K sets of values over the same items, in the same R resamples.

    Args:
        values: (K, N) float64.
        image_id_1, image_id_2, resamples, seed, groups: as in ``image_bootstrap``. A group that
            a resample holds no item of is left out of its mean; a resample without any item
            gives NaN.
    """
    weights = item_weights(image_id_1, image_id_2, resamples, seed)  # (N, R)
    places = np.zeros(values.shape[1], dtype=np.int64)
    if groups is not None:
        places = np.unique(groups, return_inverse=True)[1]
    totals = _group_sums(np.ones((1, values.shape[1])), places, weights)  # (1, G, R)
    sums = _group_sums(values, places, weights)  # (K, G, R)
    occurs = totals > 0
    means = np.divide(sums, totals, out=np.zeros_like(sums), where=occurs)
    count = occurs.sum(1)  # (1, R)
    return np.divide(means.sum(1), count, out=np.full(means[:, 0].shape, np.nan), where=count > 0)


def item_weights(
    image_id_1: np.ndarray, image_id_2: np.ndarray | None, resamples: int, seed: int
) -> np.ndarray:
    """Return (N, R) float64: how often each item occurs in each resample of the images."""
    seconds = image_id_1 if image_id_2 is None else image_id_2
    places, images = pd.factorize(np.concatenate([image_id_1, seconds]), sort=True)
    counts = multiplicities(len(images), resamples, seed)
    weights = counts[places[: len(image_id_1)]]
    if image_id_2 is not None:
        weights *= counts[places[len(image_id_1) :]]
    return weights


@lru_cache(maxsize=4)
def multiplicities(images: int, resamples: int, seed: int) -> np.ndarray:
    """Return (n, R) float64: how often each of n images is drawn in each resample, read-only."""
    rng = np.random.default_rng([seed % 2**32, images])
    draws = rng.integers(images, size=(resamples, images))
    flat = draws + images * np.arange(resamples)[:, None]
    counts = np.bincount(flat.ravel(), minlength=resamples * images)
    by_image = np.ascontiguousarray(counts.reshape(resamples, images).T, dtype=np.float64)
    by_image.flags.writeable = False
    return by_image


def _group_sums(values: np.ndarray, places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (K, G, R) weighted sums of values (K, N) over the groups at places (N,)."""
    order = np.argsort(places, kind="stable")
    cuts = np.flatnonzero(np.diff(places[order])) + 1
    if not len(cuts):
        return (values @ weights)[:, None]
    parts = np.split(order, cuts)
    return np.stack([values[:, part] @ weights[part] for part in parts], axis=1)
