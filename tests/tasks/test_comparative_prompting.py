"""Comparative prompting: the formula, what is chosen where, and chance."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torchmetrics.functional.classification import multiclass_confusion_matrix

from clipdiff.errors import DataError
from clipdiff.files import write_parquet
from clipdiff.tasks.base import TextEmbeds, Validation, View
from clipdiff.tasks.comparative_prompting import (
    ComparativePrompting,
    ComparativePromptingTask,
    confused_pairs,
    confusion_matrix,
    moved_prompts,
)
from clipdiff.tasks.measuring.metrics import metric_row
from clipdiff.tasks.zero_shot import ZeroShot

WIDTH = 16


def unit(vectors):
    return torch.nn.functional.normalize(vectors, dim=-1)


def values(metrics):
    return {metric.metric: metric.value for metric in metrics}


class World:
    """Class prompts that lie off their classes' images, and texts that say by how much.

    Images of a class lie at its centre c; its prompt lies part of the way to the next class.
    The text of "a versus b" is t_a - c_b, so that a moved prompt leads back to its own centre.
    """

    def __init__(self, split, noise=0.05, off=0.6):
        generator = torch.Generator().manual_seed(0)
        self.names, count = split.class_names, len(split.class_names)
        self.centres = torch.eye(WIDTH)[:count]
        self.prompts = unit((1 - off) * self.centres + off * self.centres.roll(-1, 0))
        self.noise = noise * torch.randn(500, WIDTH, generator=generator)

    def images(self, split):
        return unit(self.centres[split.labels] + self.noise[: len(split.labels)])

    def encode(self, texts):
        return torch.stack([self.embed(text) for text in texts])

    def embed(self, text):
        named = sorted((text.index(name), name) for name in self.names if name in text)
        places = [self.names.index(name) for _, name in named]
        if len(places) == 1:
            return self.prompts[places[0]]
        return unit(self.prompts[places[0]] - self.centres[places[1]])

    def view(self, task, split, validation):
        texts = list(dict.fromkeys(task.texts()))
        return View(
            TextEmbeds(texts, self.encode(texts)), self.images(split), self.images(validation)
        )


@pytest.fixture
def test_split(splits):
    return splits["test_scenes"]


@pytest.fixture
def world(split):
    return World(split)


def make(split, settings, validation, world, **own):
    seen = Validation(validation, world.images(validation), world.encode)
    return ComparativePrompting(**own).on(split, settings, seen)


def test_moved_prompts_by_hand():
    plain = torch.eye(3)
    differences = torch.tensor([[0.6, -0.8, 0.0], [0.0, -0.6, 0.8]])
    moved = moved_prompts(plain, differences, np.array([[0, 1], [2, 1]]), 0.8)
    # t_a - e_ab is (0.4, 0.8, 0) and (0, 0.6, 0.2); 0.2 of their mean, 0.8 of (0, 1, 0)
    expected = torch.tensor([0.04, 0.94, 0.02])
    assert torch.allclose(moved[1], expected / expected.norm())
    assert torch.equal(moved[[0, 2]], plain[[0, 2]])


def test_confusions_by_hand():
    counts = np.array([[5, 2, 0, 0], [1, 5, 2, 0], [0, 1, 5, 0], [0, 0, 0, 5]])
    assert confused_pairs(counts, 1).tolist() == [[1, 0], [0, 1], [1, 2]]
    assert confused_pairs(counts, 2).tolist() == [[1, 0], [0, 1], [2, 1], [1, 2]]


def test_confusion_matrix_is_torchmetrics():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(7, size=(2, 90))
    expected = multiclass_confusion_matrix(torch.from_numpy(predicted), torch.from_numpy(labels), 7)
    assert np.array_equal(confusion_matrix(labels, predicted, 7), expected.numpy())


def test_texts_that_lead_back_are_right_and_reversed_ones_are_not(
    split, test_split, settings, world
):
    task = make(test_split, settings, split, world, prompt_alphas=[0.3, 1.0])
    view = world.view(task, test_split, split)
    got = values(task.measure(view, view))
    assert got["acc1"] == got["acc1_confused"] == 1.0
    assert got["gain"] > 0.9
    assert got["prompt_alpha"] == pytest.approx(0.3)
    rows = [view.text_embeds.places[text] for text in task.pair_texts]
    view.text_embeds.text_embeds[rows] *= -1
    got = values(task.measure(view, view))
    assert got["prompt_alpha"] == 1.0  # validation sees that nothing is gained
    assert got["gain"] == 0.0


def test_the_test_split_has_no_say(split, test_split, settings, world):
    task = make(test_split, settings, split, world, prompt_alphas=[0.3, 1.0])
    view = world.view(task, test_split, split)
    other = replace(view, image_embeds=view.image_embeds.flip(0))
    assert values(task.measure(other, other))["prompt_alpha"] == pytest.approx(0.3)
    spoiled = replace(view, validation_embeds=view.validation_embeds.flip(0))
    assert values(task.measure(spoiled, spoiled))["acc1"] < 1.0
    relabelled = replace(test_split, labels=np.roll(test_split.labels, 1))
    assert np.array_equal(make(relabelled, settings, split, world).pairs, task.pairs)


def test_pairs_are_the_confused_ones_of_validation(split, test_split, settings, world):
    task = make(test_split, settings, split, world)
    count = len(split.class_names)
    best = (world.images(split) @ world.prompts.T).argmax(1).numpy()
    expected = confused_pairs(confusion_matrix(split.labels, best, count), 3)
    assert np.array_equal(task.pairs, expected)
    assert len(expected) > 0
    for (first, second), text in zip(task.pairs, task.pair_texts, strict=True):
        names = [split.class_names[place] for place in (first, second)]
        assert f"shows {names[0]} and the second picture shows {names[1]}" in text


def test_a_plain_prompt_alone_is_zero_shot(split, test_split, settings, world):
    task = make(test_split, settings, split, world, prompt_alphas=[1.0])
    view = world.view(task, test_split, split)
    got = values(task.measure(view, view))
    zero_shot = ZeroShot().on(test_split, settings).measure(view, view)[0]
    assert got["acc1"] == zero_shot.value < 1.0
    assert got["gain"] == 0.0


def test_random_embeds_are_at_chance(split, test_split, settings, world, random_view):
    task, inside = make(test_split, settings, split, world), 0
    for seed in range(6):
        view = random_view(task.texts(), len(test_split.rows), seed)
        images = random_view([], len(split.rows), 100 + seed).image_embeds
        view = replace(view, validation_embeds=images)
        metrics = {metric.metric: metric for metric in task.measure(view, view)}
        row = metric_row(metrics["acc1"], test_split.name, "finetuned", settings)
        inside += row["ci_low"] <= 1 / len(split.class_names) <= row["ci_high"]
        assert metrics["prompt_alpha"].values[0] in (0.8, 0.85, 0.9)
    assert inside >= 5  # of 6 intervals of 95 %


def test_every_metric_has_an_interval(split, test_split, settings, world, random_view):
    task = make(test_split, settings, split, world)
    view = random_view(task.texts(), len(test_split.rows), 0)
    images = random_view([], len(split.rows), 1).image_embeds
    metrics = task.measure(replace(view, validation_embeds=images), view)
    for metric in metrics:
        row = metric_row(metric, test_split.name, "finetuned", settings)
        assert row["ci_low"] - 1e-9 <= row["value"] <= row["ci_high"] + 1e-9
        assert row["n"] == len(metric.values)
    assert {metric.metric: metric.kept for metric in metrics} == {
        "acc1": True, "gain": True, "acc1_confused": True, "prompt_alpha": False,
    }  # fmt: skip


def test_an_llms_texts_where_there_are_some(tmp_path, split, test_split, settings, world):
    names, path = split.class_names, tmp_path / "bert.parquet"
    written = pd.DataFrame({"class_1": names, "class_2": np.roll(names, 1)})
    written["difference"] = written["class_1"].str.upper() + " not " + written["class_2"]
    write_parquet(path, written)
    changed = settings.model_copy(update={"class_differences": str(path)})
    task = make(test_split, changed, split, world)
    assert task.pair_texts
    for (first, second), text in zip(task.pairs, task.pair_texts, strict=True):
        assert text == f"{names[first].upper()} not {names[second]}"
    absent = settings.model_copy(update={"class_differences": str(tmp_path / "t5.parquet")})
    with pytest.raises(DataError, match=r"t5\.parquet: no such file"):
        make(test_split, absent, split, world)
    write_parquet(path, written.assign(kept=False))
    assert make(test_split, changed, split, world).pair_texts == []


def test_no_text_for_any_pair_is_an_error(tmp_path, split, test_split, settings, world):
    own = tmp_path / "own.yaml"
    own.write_text("count: {kind: ordinal, order: numeric, greater: more, less: fewer}\n")
    changed = settings.model_copy(update={"templates": str(own)})
    with pytest.raises(DataError, match=r"no text tells any of the .* confused pairs"):
        make(test_split, changed, split, world)


def test_items_are_every_cells(split, test_split, settings, world, random_view):
    task = make(test_split, settings, split, world)
    assert isinstance(task, ComparativePromptingTask)
    again = make(test_split, settings, split, world)
    assert np.array_equal(task.items.ids, again.items.ids)
    assert task.texts() == again.texts()


def test_descriptions_stand_in_for_the_prompts(tmp_path, split, test_split, settings, world):
    path, names = tmp_path / "bert.parquet", split.class_names
    table = pd.DataFrame({"class": names[:-1], "description": [f"seen as {n}" for n in names[:-1]]})
    write_parquet(path, table)
    changed = settings.model_copy(update={"class_descriptions": str(path)})
    task = make(test_split, changed, split, world)
    view = world.view(task, test_split, split)
    rows = [view.text_embeds.places[f"seen as {name}"] for name in names[:-1]]
    view.text_embeds.text_embeds[rows] = world.centres[:-1]  # a perfect description
    got = {metric.metric: metric for metric in task.measure(view, view)}
    last = test_split.labels == len(names) - 1
    zero_shot = ZeroShot().on(test_split, changed).measure(view, view)[0]
    assert got["acc1_described"].values[~last].mean() == 1.0
    assert got["acc1_described"].values[~last].mean() > zero_shot.values[~last].mean()
    write_parquet(path, table.assign(**{"class": "cat"}))
    with pytest.raises(DataError, match="describes none of the 6 classes"):
        make(test_split, changed, split, world)
