"""Shares of variance on a grid."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from clipdiff.stats.variance import variance_shares


def test_shares_are_those_of_a_two_way_anova():
    values = np.random.default_rng(0).normal(size=(4, 3, 5))
    values += np.arange(4)[:, None, None] + 0.3 * np.arange(3)[:, None]
    places = np.indices(values.shape).reshape(3, -1)
    table = pd.DataFrame({"a": places[0], "b": places[1], "y": values.ravel()})
    squares = anova_lm(ols("y ~ C(a) * C(b)", table).fit())["sum_sq"]
    found = variance_shares(values)
    assert list(found.values()) == pytest.approx((squares / squares.sum()).tolist())


def test_nothing_varies():
    assert set(variance_shares(np.ones((2, 2, 2))).values()) == {0.0}
