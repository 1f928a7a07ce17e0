"""Paired comparisons: false positives, power, and agreement with statsmodels."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from clipdiff.stats.bootstrap import grouped_mean
from clipdiff.stats.paired import (
    holm,
    mcnemar_over_seeds,
    paired_bootstrap,
    smallest_sign_flip_p,
    wald_p,
)

SETTINGS = {"resamples": 300, "confidence": 0.95, "seed": 0}
FIRST, SECOND = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])


def compare(values, others, image_id_1, image_id_2=None, groups=None):
    """Compare two sets of values."""
    both = np.stack([values, others])
    (found,) = paired_bootstrap(
        both, FIRST, SECOND, image_id_1, image_id_2, groups=groups, **SETTINGS
    )
    return found


def null_pairs(rng: np.random.Generator) -> tuple:
    """Two models equally good, whose outcomes depend on the images that pairs share."""
    first = rng.integers(100, size=400)
    second = (first + rng.integers(1, 100, size=400)) % 100
    noise = rng.normal(size=(2, 400))
    own = rng.normal(size=(2, 100))  # what each model makes of each image
    hits = (own[:, first] + own[:, second] + noise > 0).astype(float)
    return hits, first, second


def test_null_data_reject_at_about_alpha():
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(400):
        hits, first, second = null_pairs(rng)
        rejected += compare(*hits, first, second).p < 0.05
    assert 0.01 <= rejected / 400 <= 0.08


def test_ignoring_shared_images_would_reject_too_often():
    """Why images are resampled and not items: the naive test doubles the error and more."""
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(400):
        hits, *_ = null_pairs(rng)
        gains = hits[0] - hits[1]
        rejected += wald_p(gains.mean(), gains.std(ddof=1) / 20) < 0.05
    assert rejected / 400 > 0.10


def test_gain_and_interval_of_a_real_difference():
    rng = np.random.default_rng(1)
    ids = np.arange(1000)
    others = (rng.random(1000) < 0.5).astype(float)
    values = np.where(rng.random(1000) < 0.4, 1.0, others)
    found = compare(values, others, ids)
    assert found.gain == pytest.approx(values.mean() - others.mean())
    assert found.value == values.mean()
    assert found.interval.low < 0.2 < found.interval.high
    assert found.interval.low < found.gain < found.interval.high
    assert found.value_interval.low < found.value < found.value_interval.high
    assert found.p < 1e-6


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(2)
    others = rng.normal(size=300)
    values = others + 0.1 * rng.normal(size=300)
    found = compare(values, others, np.arange(300))
    assert found.interval.stderr < found.value_interval.stderr / 5


def test_equal_outcomes_are_no_difference():
    values = np.random.default_rng(3).random(50)
    found = compare(values, values, np.arange(50))
    assert (found.gain, found.p) == (0.0, 1.0)


def test_p_is_no_smaller_than_the_images_allow():
    assert compare(np.ones(4), np.zeros(4), np.arange(4)).p == 2 / 2**4


def test_averages_of_sets_are_compared():
    rng = np.random.default_rng(7)
    values, ids = rng.random((4, 60)), np.arange(60)
    halves = np.array([[0.5, 0.5, 0.0, 0.0]]), np.array([[0.0, 0.0, 0.5, 0.5]])
    (found,) = paired_bootstrap(values, *halves, ids, None, **SETTINGS)
    alone = compare(values[:2].mean(0), values[2:].mean(0), ids)
    assert found.gain == pytest.approx(alone.gain)
    assert found.interval.low == pytest.approx(alone.interval.low)
    assert found.p == pytest.approx(alone.p)


def test_groups_count_alike():
    values, groups = np.array([1.0, 1.0, 1.0, 0.0]), np.array([0, 0, 0, 1])
    assert grouped_mean(values, groups) == 0.5
    assert compare(values, np.zeros(4), np.arange(4), groups=groups).gain == 0.5


def test_mcnemar_of_one_seed_is_statsmodels():
    rng = np.random.default_rng(4)
    hits, others = rng.random((1, 200)) < 0.7, rng.random((1, 200)) < 0.6
    table = [
        [(hits & others).sum(), (hits & ~others).sum()],
        [(~hits & others).sum(), (~hits & ~others).sum()],
    ]
    assert mcnemar_over_seeds(hits, others) == pytest.approx(mcnemar(table, exact=True).pvalue)


def test_mcnemar_of_three_seeds_is_rueger():
    rng = np.random.default_rng(5)
    hits, others = rng.random((3, 200)) < 0.7, rng.random((3, 200)) < 0.6
    alone = sorted(mcnemar_over_seeds(hits[[s]], others[[s]]) for s in range(3))
    assert mcnemar_over_seeds(hits, others) == pytest.approx(min(1.0, 1.5 * alone[1]))


def test_holm_is_statsmodels_and_keeps_the_order():
    ps = np.random.default_rng(6).random(12) ** 4
    assert holm(ps) == pytest.approx(multipletests(ps, method="holm")[1])
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert len(holm([])) == 0


def test_few_seeds_prove_nothing_alone():
    assert [smallest_sign_flip_p(n) for n in (0, 3, 5, 6)] == [1.0, 0.25, 0.0625, 0.03125]
