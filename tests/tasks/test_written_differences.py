"""Difference classification by texts that an LLM wrote of held-out pairs."""

import numpy as np
import pandas as pd
import pytest

from clipdiff.errors import DataError
from clipdiff.files import write_parquet
from clipdiff.tasks.difference_classification import DifferenceClassification
from clipdiff.tasks.texts.attributes import load_templates
from clipdiff.tasks.texts.difference_pairs import read_pair_differences

COLUMNS = ["image_id_1", "image_id_2", "difference"]


@pytest.fixture
def written(split, tmp_path):
    """Write the size texts of pairs of different sizes, in both orders."""
    size, values = load_templates("scenes")["size"], split.values("size")
    ids, rows = split.image_ids, []
    for i in range(0, 60, 2):
        for j in range(1, 60, 2):
            if values[i] != values[j]:
                rows.append((ids[i], ids[j], size.describe(values[i], values[j])))
                rows.append((ids[j], ids[i], size.describe(values[j], values[i])))
    table = pd.DataFrame(rows, columns=COLUMNS)
    write_parquet(tmp_path / "pairs.parquet", table)
    return tmp_path / "pairs.parquet", table


def test_planted_texts_are_right(split, settings, written, planted_view):
    path, _ = written
    task = DifferenceClassification().on(
        split, settings.model_copy(update={"pair_differences": str(path)})
    )
    assert task.attributes[-1].name == "written"
    view = planted_view(split, task.texts())
    rows = {(m.task, m.metric): m for m in task.measure(view, view)}
    for metric in ("accuracy", "auc", "swap_consistency"):
        assert rows["difference/written", metric].value == 1.0
    accuracy = rows["difference/written", "accuracy"]
    assert len(accuracy.values) == settings.draws * settings.pairs_per_draw


def test_pairs_are_drawn_in_both_orders_with_their_own_texts(split, settings, written):
    path, table = written
    task = DifferenceClassification().on(
        split, settings.model_copy(update={"pair_differences": str(path)})
    )
    pairs = task.attributes[-1]
    said = {(i, j): text for i, j, text in table.itertuples(index=False)}
    ids = split.image_ids
    for (i, j), true, swapped in zip(
        pairs.pair_rows, pairs.true_texts, pairs.swapped_texts, strict=True
    ):
        assert true == said[ids[i], ids[j]]
        assert swapped == said[ids[j], ids[i]]
    for draw in range(settings.draws):
        rows = pairs.pair_rows[pairs.draws == draw]
        assert {tuple(row) for row in rows} == {tuple(row[::-1]) for row in rows}
        assert len(np.unique(rows, axis=0)) == len(rows)


def test_the_order_of_the_table_does_not_count(split, settings, written):
    path, table = written
    changed = settings.model_copy(update={"pair_differences": str(path)})
    first = DifferenceClassification().on(split, changed).attributes[-1]
    write_parquet(path, table.iloc[::-1])
    again = DifferenceClassification().on(split, changed).attributes[-1]
    assert np.array_equal(first.pair_rows, again.pair_rows)
    assert first.true_texts == again.true_texts


def test_pairs_written_in_one_order_are_left_out(split, written):
    path, table = written
    write_parquet(path, table.iloc[:5])
    assert len(read_pair_differences(path, split)) == 4
    write_parquet(path, table.iloc[::2])
    with pytest.raises(DataError, match=r"no two images of .* with a text in both orders"):
        read_pair_differences(path, split)
