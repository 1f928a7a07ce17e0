"""Geometry: planted differences, reversed ones, chance, and which pairs are asked."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from clipdiff.errors import DataError
from clipdiff.files import write_parquet
from clipdiff.tasks.base import TextEmbeds, View
from clipdiff.tasks.geometry import Geometry, analogies
from clipdiff.tasks.measuring.metrics import metric_row


def values(metrics):
    return {metric.metric: metric.value for metric in metrics}


@pytest.fixture
def task(split, settings):
    return Geometry().on(split, settings)


def planted(task, split, sign=1.0) -> View:
    """Texts of "a versus b" at t_a - t_b, of prompts at the corners of a cube."""
    classes = len(split.class_names)
    prompts = torch.eye(classes)
    texts = dict(zip(task.prompts, prompts, strict=True))
    for (first, second), text, reverse in zip(
        task.pairs, task.true_texts, task.reverse_texts, strict=True
    ):
        difference = (prompts[first] - prompts[second]) / 2**0.5
        texts[text], texts[reverse] = sign * difference, -sign * difference
    return View(TextEmbeds(list(texts), torch.stack(list(texts.values()))), torch.empty(0, classes))


def test_planted_differences_and_their_reverse(task, split):
    got = values(task.measure(planted(task, split), None))
    assert got == pytest.approx(
        {"cosine": 1.0, "cosine_reverse": -1.0, "direction": 1.0, "analogy": 1.0}
    )
    got = values(task.measure(planted(task, split, sign=-1.0), None))
    assert got["cosine"] == pytest.approx(-1.0)
    assert got["cosine_reverse"] == pytest.approx(1.0)
    assert got["direction"] == got["analogy"] == 0.0


def test_texts_blind_to_direction_score_one_half(task, split):
    view = planted(task, split)
    rows = [view.text_embeds.places[text] for text in (*task.true_texts, *task.reverse_texts)]
    view.text_embeds.text_embeds[rows] = view.text_embeds.text_embeds[rows[0]].clone()
    got = values(task.measure(view, None))
    assert got["direction"] == 0.5
    assert got["cosine"] == pytest.approx(got["cosine_reverse"])


def test_analogies_by_hand():
    prompts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    texts = torch.tensor([[1.0, 0.0], [-0.6, 0.8], [0.0, 1.0]])
    # (1, 1): a tie of 0 and 1, b left out; (0.4, 0.8) without 0; (-1, 1) without 2
    assert analogies(prompts, texts, torch.tensor([1, 0, 2])).tolist() == [0, 1, 1]


def test_random_embeds_are_at_chance(task, split, settings, random_view):
    chance = {"cosine": 0.0, "cosine_reverse": 0.0, "direction": 0.5}
    chance["analogy"] = 1 / (len(split.class_names) - 1)
    inside = 0
    for seed in range(6):
        for metric in task.measure(random_view(task.texts(), 0, seed), None):
            row = metric_row(metric, split.name, "finetuned", settings)
            inside += row["ci_low"] <= chance[metric.metric] <= row["ci_high"]
    assert inside >= 20  # of 24 intervals of 95 %, over six classes only


def test_permuted_texts_are_at_chance(task, split, settings):
    view = planted(task, split)
    order = np.random.default_rng(1).permutation(len(task.pairs))
    pairs = list(zip(task.true_texts, task.reverse_texts, strict=True))
    task.true_texts, task.reverse_texts = zip(*(pairs[place] for place in order), strict=True)
    for metric in task.measure(view, None):
        if metric.metric == "direction":
            row = metric_row(metric, split.name, "finetuned", settings)
            assert row["ci_low"] <= 0.5 <= row["ci_high"]


def test_each_pair_of_classes_once_in_one_order(task, split):
    count = len(split.class_names)
    assert len(task.pairs) == count * (count - 1) // 2
    assert len({frozenset(pair) for pair in task.pairs.tolist()}) == len(task.pairs)
    falling = (task.pairs[:, 0] > task.pairs[:, 1]).mean()
    assert 0 < falling < 1
    for (first, second), text, reverse in zip(
        task.pairs, task.true_texts, task.reverse_texts, strict=True
    ):
        names = [split.class_names[place] for place in (first, second)]
        assert text.index(names[0]) < text.index(names[1])
        assert reverse.index(names[1]) < reverse.index(names[0])


def test_only_what_is_the_classes_own_tells_them_apart(split, settings):
    labels = split.labels.copy()
    for label in range(2):  # classes of one image agree in everything, which says nothing
        labels[np.flatnonzero(split.labels == label)[1:]] = -1
    task = Geometry().on(replace(split, labels=labels), settings)
    assert len(task.true_texts) == 15
    assert not any("larger" in text or "background" in text for text in task.true_texts)


def test_classes_that_the_templates_leave_out_have_no_text(split, settings):
    names = ["camel", "boat", "shrew", "wolf", "owl", "drum"]
    bare = replace(split, class_names=names, attributes=[{}] * len(split.rows))
    task = Geometry().on(bare, settings.model_copy(update={"templates": "cifar100_size"}))
    pairs = {frozenset(names[place] for place in pair) for pair in task.pairs}
    assert pairs == {frozenset(["camel", "shrew"]), frozenset(["wolf", "shrew"])}


def test_items_follow_the_seed_and_nothing_else(split, settings):
    few = Geometry(class_pairs=4)
    first, again = few.on(split, settings), few.on(split, settings)
    other = few.on(split, settings.model_copy(update={"seed": 1}))
    assert len(first.pairs) == 4
    assert np.array_equal(first.pairs, again.pairs)
    assert not np.array_equal(first.pairs, other.pairs)


def test_an_llms_texts_are_asked_for_both_orders(tmp_path, split, settings):
    path, names = tmp_path / "bert.parquet", split.class_names
    pairs = [(0, 1), (1, 0), (2, 3)]
    rows = [(names[a], names[b], f"{a} not {b}") for a, b in pairs]
    write_parquet(path, pd.DataFrame(rows, columns=["class_1", "class_2", "difference"]))
    task = Geometry().on(split, settings.model_copy(update={"class_differences": str(path)}))
    first, second = task.pairs[0]
    assert {first, second} == {0, 1}
    assert task.true_texts == [f"{first} not {second}"]
    assert task.reverse_texts == [f"{second} not {first}"]


def test_an_llms_table_without_texts_is_an_error(tmp_path, split, settings):
    path = tmp_path / "bert.parquet"
    changed = settings.model_copy(update={"class_differences": str(path)})
    rows = pd.DataFrame({"class_1": ["fox"], "class_2": ["owl"], "difference": [None]})
    write_parquet(path, rows)
    with pytest.raises(DataError, match=r"bert\.parquet: rows without difference"):
        Geometry().on(split, changed)
    write_parquet(path, rows.assign(class_1="cat", difference="a text"))
    with pytest.raises(DataError, match="no text tells two classes apart"):
        Geometry().on(split, changed)
