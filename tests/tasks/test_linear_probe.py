"""The linear probe: its minimum, its shots, chance, and when it is asked."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from clipdiff.errors import DataError
from clipdiff.tasks.base import TextEmbeds, Validation, View
from clipdiff.tasks.linear_probe import DECAY, LinearProbe, draw_shots, fit
from clipdiff.tasks.measuring.metrics import metric_row


@pytest.fixture
def test_split(splits):
    return splits["test_scenes"]


def make(split, settings, validation, **own):
    return LinearProbe(**own).on(split, settings, Validation(validation, torch.empty(0), None))


def view_of(split, validation, lean, seed=0):
    """Random images, pulled towards their class's corner."""
    generator = torch.Generator().manual_seed(seed)
    parts = [
        torch.nn.functional.normalize(
            torch.randn(len(part.rows), 16, generator=generator)
            + lean * torch.eye(16)[part.labels],
            dim=1,
        )
        for part in (split, validation)
    ]
    return View(TextEmbeds([], torch.empty(0, 16)), *parts)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_fit_is_the_minimum_that_newton_finds(classes):
    """Mean cross entropy plus DECAY / 2 times the squared weights, intercepts free."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(60, 5))
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    labels = rng.permutation(np.arange(60) % classes)
    padded = torch.from_numpy(np.hstack([inputs, np.ones((60, 1))]))

    def loss(flat):
        weights = flat.reshape(6, classes)
        entropy = torch.nn.functional.cross_entropy(padded @ weights, torch.from_numpy(labels))
        return entropy + DECAY / 2 * weights[:-1].square().sum()

    best = torch.zeros(6 * classes, dtype=torch.float64)
    for _ in range(30):
        gradient = torch.autograd.functional.jacobian(loss, best)
        hessian = torch.autograd.functional.hessian(loss, best)
        best = best - torch.linalg.pinv(hessian) @ gradient  # intercepts have no zero of their own
    assert float(gradient.abs().max()) < 1e-12
    chances = torch.softmax(padded @ best.reshape(6, classes), dim=1)
    got = fit(inputs, labels).predict_proba(inputs)
    assert got == pytest.approx(chances.numpy(), abs=1e-6)


def test_a_validation_split_of_one_class_is_an_error(split, test_split, settings):
    labels = np.where(split.labels == 2, 2, -1)
    with pytest.raises(DataError, match="images of one class only, and linear_probe needs"):
        make(test_split, settings, replace(split, labels=labels))


def test_shots_are_so_many_of_each_class():
    labels = np.array([0] * 10 + [1] * 3 + [2] * 10 + [-1] * 5)
    rows = draw_shots(labels, 4, [0, 0])
    assert np.bincount(labels[rows]).tolist() == [4, 3, 4]
    assert len(set(rows)) == 11
    assert rows.tolist() != draw_shots(labels, 4, [0, 1]).tolist()
    assert rows.tolist() == draw_shots(labels, 4, [0, 0]).tolist()


def test_separable_classes_are_all_right(split, test_split, settings):
    task = make(test_split, settings, split)
    (metric,) = task.measure(view_of(test_split, split, lean=40), None)
    assert metric.value == 1.0
    assert metric.stderr == 0.0


def test_random_images_and_permuted_labels_are_at_chance(split, test_split, settings):
    chance = 1 / len(split.class_names)
    task, inside = make(test_split, settings, split), 0
    for seed in range(3):
        (metric,) = task.measure(view_of(test_split, split, 0, seed), None)
        row = metric_row(metric, "test_scenes", "finetuned", settings)
        inside += row["ci_low"] <= chance <= row["ci_high"]
        rng = np.random.default_rng(seed)
        permuted = replace(test_split, labels=rng.permutation(test_split.labels))
        control = make(permuted, settings, split)
        (metric,) = control.measure(view_of(test_split, split, 40, seed), None)
        row = metric_row(metric, "test_scenes", "finetuned", settings)
        inside += row["ci_low"] <= chance <= row["ci_high"]
    assert inside >= 5  # of 6 intervals of 95 %


def test_value_and_stderr_are_over_draws(split, test_split, settings):
    task = make(test_split, settings, split, shots=2)
    view = view_of(test_split, split, lean=3)
    (metric,) = task.measure(view, None)
    shares = []
    for rows in task.shots:
        regression = fit(view.validation_embeds[rows].numpy(), split.labels[rows])
        best = regression.predict(view.image_embeds.numpy())
        shares.append((best == test_split.labels).mean())
    assert len(shares) == settings.draws
    assert metric.value == pytest.approx(np.mean(shares))
    assert metric.stderr == pytest.approx(np.std(shares, ddof=1) / settings.draws**0.5)
    assert len(set(shares)) > 1


def test_the_validation_split_is_not_measured(split, settings):
    view = view_of(split, split, lean=3)
    assert make(split, settings, split).measure(view, None) == []
