"""The bootstrap over images: against loops, against theory, and its speed."""

import time

import numpy as np
import pytest

from clipdiff.stats.bootstrap import (
    image_bootstrap,
    interval_of,
    item_weights,
    multiplicities,
    resampled_means,
)


def draw_pairs(rng: np.random.Generator, images: int, pairs: int) -> tuple:
    """Draw (pairs,) first and second image ids, never the same in one pair."""
    first = rng.integers(images, size=pairs)
    second = (first + rng.integers(1, images, size=pairs)) % images
    return first, second


def test_weights_are_products_of_multiplicities():
    weights = item_weights(np.array([30, 10]), np.array([20, 30]), resamples=50, seed=3)
    drawn = multiplicities(3, 50, 3)
    assert np.array_equal(weights, np.stack([drawn[2] * drawn[1], drawn[0] * drawn[2]]))
    assert (drawn.sum(0) == 3).all()


def test_one_image_items_weigh_as_often_as_drawn():
    ids = np.array([5, 9, 5])
    weights = item_weights(ids, None, resamples=20, seed=0)
    assert np.array_equal(weights, multiplicities(2, 20, 0)[[0, 1, 0]])


@pytest.mark.parametrize("grouped", [False, True])
def test_means_equal_a_loop(grouped: bool):
    rng = np.random.default_rng(1)
    first, second = draw_pairs(rng, 12, 40)
    values = rng.random((3, 40))
    groups = rng.integers(5, size=40) * 7 if grouped else None
    got = resampled_means(values, first, second, resamples=25, seed=4, groups=groups)
    weights = item_weights(first, second, 25, 4)
    labels = np.zeros(40) if groups is None else groups
    for k in range(3):
        for r in range(25):
            parts = [
                np.average(values[k, labels == g], weights=weights[labels == g, r])
                for g in np.unique(labels)
                if weights[labels == g, r].sum() > 0
            ]
            assert got[k, r] == pytest.approx(np.mean(parts))


def test_the_same_seed_gives_the_same_interval():
    rng = np.random.default_rng(2)
    first, second = draw_pairs(rng, 50, 200)
    values = rng.random(200)

    def interval(seed: int):
        return image_bootstrap(values, first, second, resamples=100, confidence=0.9, seed=seed)

    assert interval(0) == interval(0)
    assert interval(0) != interval(1)


def test_standard_error_of_independent_items_is_the_textbook_one():
    values = np.random.default_rng(3).random(500)
    got = image_bootstrap(values, np.arange(500), None, resamples=4000, confidence=0.95, seed=0)
    assert got.stderr == pytest.approx(values.std() / np.sqrt(500), rel=0.05)


def test_shared_images_widen_the_interval():
    """Ten items of one image say no more than one of them."""
    values = np.random.default_rng(4).random(60)
    alone = image_bootstrap(values, np.arange(60), None, resamples=2000, confidence=0.95, seed=0)
    copied = image_bootstrap(
        np.repeat(values, 10), np.repeat(np.arange(60), 10), None,
        resamples=2000, confidence=0.95, seed=0,
    )  # fmt: skip
    assert copied.stderr == pytest.approx(alone.stderr)


def test_pairs_cover_a_known_mean_at_about_the_nominal_rate():
    """Outcomes depend on both images of a pair; the true share is one half by symmetry."""
    rng = np.random.default_rng(5)
    covered = 0
    for trial in range(300):
        first, second = draw_pairs(rng, 80, 400)
        strength = rng.normal(size=80)
        noise = rng.normal(size=400)
        hits = (strength[first] + strength[second] + noise > 0).astype(float)
        got = image_bootstrap(hits, first, second, resamples=300, confidence=0.9, seed=trial)
        covered += got.low <= 0.5 <= got.high
    assert 0.85 <= covered / 300 <= 0.97


def test_resamples_without_an_item_are_left_out():
    """Two images and their one pair: half of the resamples hold no item at all."""
    got = image_bootstrap(
        np.array([0.3]), np.array([0]), np.array([1]), resamples=64, confidence=0.95, seed=0
    )
    assert (got.stderr, got.low, got.high) == pytest.approx((0.0, 0.3, 0.3))


def test_interval_of_known_quantiles():
    got = interval_of(np.arange(101.0), confidence=0.9)
    assert (got.low, got.high) == pytest.approx((5.0, 95.0))


def test_a_metric_takes_milliseconds():
    """A cell has some 130 metrics and two seconds: 1,000 resamples of 1,000 pairs in 15 ms."""
    rng = np.random.default_rng(6)
    first, second = draw_pairs(rng, 400, 1000)
    values = rng.random(1000)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        image_bootstrap(values, first, second, resamples=1000, confidence=0.95, seed=0)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05
