"""Zero-shot accuracy against torchmetrics and open_clip, and at chance."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_recall

from clipdiff.errors import ConfigError, DataError
from clipdiff.tasks.base import View
from clipdiff.tasks.measuring.metrics import metric_row
from clipdiff.tasks.zero_shot import ZeroShot, wilson_interval, worst_class


def values(metrics):
    return {metric.metric: metric.value for metric in metrics}


@pytest.fixture
def task(split, settings):
    return ZeroShot().on(split, settings)


def leaning_view(view: View, task: ZeroShot, split, strength: float) -> View:
    """Pull each image towards its own class's prompt."""
    prompts = view.text_embeds.of(task.prompts)[torch.from_numpy(split.labels)]
    moved = torch.nn.functional.normalize(view.image_embeds + strength * prompts, dim=1)
    return View(view.text_embeds, moved)


def test_values_are_torchmetrics_values(task, split, random_view):
    view = leaning_view(random_view(task.texts(), len(split.rows), 0), task, split, 0.4)
    logits = view.image_embeds @ view.text_embeds.of(task.prompts).T
    target, classes = torch.from_numpy(split.labels), len(split.class_names)
    got = values(task.measure(view, view))
    for metric, top in (("acc1", 1), ("acc5", 5)):
        expected = multiclass_accuracy(logits, target, classes, top_k=top, average="micro")
        assert got[metric] == pytest.approx(float(expected), abs=1e-6)
    recall = multiclass_recall(logits, target, classes, average="none")
    assert got["mean_per_class_recall"] == pytest.approx(float(recall.mean()), abs=1e-6)
    assert got["worst_class_recall"] == pytest.approx(float(recall.min()), abs=1e-6)
    assert 0.3 < got["acc1"] < 1.0


def test_permuted_labels_are_at_chance(task, split, settings, random_view):
    view = leaning_view(random_view(task.texts(), len(split.rows), 0), task, split, 5.0)
    assert values(task.measure(view, view))["acc1"] == 1.0
    permuted = np.random.default_rng(0).permutation(split.labels)
    control = ZeroShot().on(replace(split, labels=permuted), settings)
    metric = control.measure(view, view)[0]
    row = metric_row(metric, split.name, "finetuned", settings)
    assert row["ci_low"] <= 1 / len(split.class_names) <= row["ci_high"]


def test_images_without_a_label_are_left_out(split, settings, random_view):
    labels = split.labels.copy()
    labels[::3] = -1
    task = ZeroShot().on(replace(split, labels=labels), settings)
    view = random_view(task.texts(), len(split.rows), 0)
    metric = task.measure(view, view)[0]
    assert len(metric.values) == (labels >= 0).sum()
    assert set(metric.items.ids) == set(split.image_ids[labels >= 0])


def test_every_metric_has_an_interval(task, split, settings, random_view):
    view = leaning_view(random_view(task.texts(), len(split.rows), 0), task, split, 0.4)
    for metric in task.measure(view, view):
        row = metric_row(metric, split.name, "finetuned", settings)
        assert 0 <= row["ci_low"] <= row["value"] <= row["ci_high"] <= 1
        assert row["ci_low"] < row["ci_high"]
        assert row["higher_is_better"] is True
        assert row["stderr"] >= 0


@pytest.mark.parametrize(("hits", "count"), [(0, 7), (3, 5), (4, 4), (17, 60)])
def test_wilson_interval_is_his_formula(hits, count):
    got = wilson_interval(np.array([1.0] * hits + [0.0] * (count - hits)), 0.95)
    z, share = 1.959963984540054, hits / count
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * ((share * (1 - share) + z**2 / (4 * count)) / count) ** 0.5
    expected = (max(centre - half, 0.0), min(centre + half, 1.0))
    assert (got.low, got.high) == pytest.approx(expected, abs=1e-12)
    assert got.low <= share <= got.high


def test_wilson_interval_by_hand():
    """No hit in 7: z^2 / (7 + z^2)."""
    got = wilson_interval(np.zeros(7), 0.95)
    assert (got.low, got.stderr) == (0.0, 0.0)
    assert got.high == pytest.approx(3.841458820694124 / 10.841458820694124, abs=1e-12)


def test_worst_class_is_the_largest_of_the_worst():
    labels = np.array([0, 0, 1, 2, 2, 2, 3])
    assert worst_class(np.array([1, 1, 0, 0, 0, 0, 1.0]), labels) == 2


def test_a_split_without_labels_is_an_error(split, settings):
    bare = replace(split, labels=np.full(len(split.rows), -1), class_names=[])
    with pytest.raises(DataError, match=r"split 'validation': 0 labelled images and 0 classes"):
        ZeroShot().on(bare, settings)


def test_a_prompt_without_a_label_is_an_error(split, settings):
    with pytest.raises(ConfigError, match=r"evaluate.prompt.*\{label\}"):
        ZeroShot().on(split, settings.model_copy(update={"prompt": "A photo"}))
