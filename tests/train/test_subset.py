"""Fewer pictures, fewer pairs: the same ones for whatever texts, and fewer within more."""

import numpy as np
import pandas as pd
import pytest

from clipdiff.train.subset import chosen_rows


@pytest.fixture
def table():
    """All pairs of 30 pictures, each in a random order, a fifth of them dropped."""
    rng = np.random.default_rng(0)
    pairs = rng.permuted(np.stack(np.triu_indices(30, 1), axis=1) * 7 + 3, axis=1)
    return pd.DataFrame(
        {"image_id_1": pairs[:, 0], "image_id_2": pairs[:, 1], "kept": rng.random(435) > 0.2}
    ).astype({"image_id_2": "Int64"})


def ids(rows):
    return set(pd.unique(rows[["image_id_1", "image_id_2"]].stack()))


def test_without_a_number_all_kept_rows_are_chosen(table):
    pd.testing.assert_frame_equal(chosen_rows(table, None, None), table[table["kept"]])


def test_images_are_nested_and_all_their_pairs_are_there(table):
    some, more = chosen_rows(table, 10, None), chosen_rows(table, 20, None)
    assert len(ids(some)) == 10
    assert ids(some) < ids(more)
    inside = table["image_id_1"].isin(ids(some)) & table["image_id_2"].isin(ids(some))
    pd.testing.assert_frame_equal(some, table[inside & table["kept"]])


def test_pairs_are_nested_in_the_order_of_the_table(table):
    some, more = chosen_rows(table, None, 40), chosen_rows(table, None, 100)
    assert (len(some), len(more)) == (40, 100)
    assert set(some.index) < set(more.index)
    assert some.index.is_monotonic_increasing
    assert len(chosen_rows(table, None, 10_000)) == table["kept"].sum()


def test_the_choice_is_no_matter_of_texts_or_order(table):
    turned = table.sample(frac=1, random_state=1)
    assert ids(chosen_rows(turned, 10, None)) == ids(chosen_rows(table, 10, None))
    assert set(chosen_rows(turned, None, 40).index) == set(chosen_rows(table, None, 40).index)
    other = table.assign(kept=~table["kept"])
    assert ids(chosen_rows(other, 10, None)) <= ids(chosen_rows(table.assign(kept=True), 10, None))


def test_the_choice_looks_random(table):
    whole = table.assign(kept=True)
    chosen = chosen_rows(whole, None, 200).index.to_numpy()
    assert abs(chosen.mean() - 217) < 30  # 4 standard errors are 28
    assert chosen[:150].max() > 200


def test_both_numbers_and_captions(table):
    assert ids(chosen_rows(table, 10, 5)) <= ids(chosen_rows(table, 10, None))
    captions = pd.DataFrame({"image_id_1": range(50), "image_id_2": pd.NA, "kept": True})
    captions = captions.astype({"image_id_2": "Int64"})
    assert len(chosen_rows(captions, 20, None)) == 20
    assert len(chosen_rows(captions, 20, 8)) == 8
