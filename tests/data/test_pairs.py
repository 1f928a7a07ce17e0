"""Training pairs: what is drawn, and what is refused."""

import pandas as pd
import pytest

from clipdiff.data.pairs import draw_pairs
from clipdiff.errors import DataError


@pytest.mark.parametrize(("size", "count"), [(2, 1), (3, 3), (30, 435), (50, 200)])
def test_pairs_are_distinct_and_of_train_images(size: int, count: int) -> None:
    table = pd.DataFrame(
        {
            "image_id": range(100, 101 + size),
            "caption": "x",
            "split": ["train"] * size + ["test"],
        }
    )
    pairs = draw_pairs(table, count, seed=1)
    unordered = {frozenset(p) for p in zip(pairs.image_id_1, pairs.image_id_2, strict=True)}
    assert len(unordered) == count
    assert all(len(pair) == 2 and max(pair) < 100 + size for pair in unordered)
    assert pairs.equals(draw_pairs(table, count, seed=1))


def test_both_orders_occur() -> None:
    table = pd.DataFrame({"image_id": range(60), "caption": "x", "split": "train"})
    pairs = draw_pairs(table, 500, seed=0)
    assert 0.4 < (pairs.image_id_1 < pairs.image_id_2).mean() < 0.6


def test_too_many_pairs() -> None:
    table = pd.DataFrame({"image_id": [1, 2], "caption": "x", "split": "train"})
    with pytest.raises(DataError, match="2 train images give 1 pairs"):
        draw_pairs(table, 2, seed=0)
