"""The kit's check of tasks: what is built in passes, what is broken does not."""

from typing import ClassVar

import numpy as np
import pytest

from clipdiff.settings import Evaluate
from clipdiff.tasks.base import TASKS, Measure, TaskEntry
from clipdiff.tasks.measuring.metrics import Items, Metric
from clipdiff.testing import check_task

EVALUATE = Evaluate(
    tasks=["zero_shot"], splits=["test_scenes"], wise_alphas=[1.0], images_per_draw=60, resamples=50
)
CHANCE = {
    "zero_shot": {("zero_shot", "acc1"): 1 / 6},
    "difference_classification": {("difference/mean", "accuracy"): 0.5},
    "linear_probe": {("linear_probe", "acc1"): 1 / 6},
}
ABSENT = {"clip_score": ["edit_unclip"]}  # it needs a decoder


@pytest.mark.parametrize("kind", TASKS.kinds)
def test_built_in_tasks_pass(kind, splits):
    entry = TASKS.make({"kind": kind})
    choices = splits["validation"] if entry.chooses else None
    chance, absent = CHANCE.get(kind, {}), ABSENT.get(kind, [])
    check_task(entry, splits["test_scenes"], chance, choices, EVALUATE, absent)


class Guess:
    """Is an image's nearest text that of its own class? The broken ones change one thing of it."""

    leak = 0.0

    def __init__(self, split):
        self.split = split

    def texts(self):
        return [f"a photo of a {name}" for name in self.split.class_names]

    def reference_texts(self):
        return []

    def items(self, view):
        return Items(self.split.image_ids, self.split.image_ids)

    def values(self, view):
        nearest = (view.image_embeds @ view.text_embeds.of(self.texts()).T).argmax(1).numpy()
        told = np.random.default_rng(0).random(len(nearest)) < self.leak
        return np.where(told, 1.0, nearest == self.split.labels)

    def measure(self, view, reference):
        return [Metric("guess", "acc1", self.values(view), self.items(view), kept=True)]

    def item_texts(self, task, metric):
        return {}


class Leaks(Guess):
    leak = 0.3


class NotFinite(Guess):
    def values(self, view):
        return super().values(view) / 0.0


class ItemsOfTheModel(Guess):
    def items(self, view):
        order = view.image_embeds[:, 0].argsort().numpy()
        return Items(self.split.image_ids[order], self.split.image_ids)


class Foreign(Guess):
    def items(self, view):
        return Items(self.split.image_ids, self.split.image_ids + 1)


class Meddles(Guess):
    def values(self, view):
        values = super().values(view)
        view.image_embeds.zero_()
        return values


class Wavers(Guess):
    calls = 0

    def texts(self):
        Wavers.calls += 1
        return [f"{text} {Wavers.calls}" for text in super().texts()]


class Unkept(Guess):
    def measure(self, view, reference):
        return [Metric("guess", "acc1", self.values(view), self.items(view))]


class Nameless(Guess):
    def measure(self, view, reference):
        return [Metric("guess", "acc5", self.values(view), self.items(view), kept=True)]


class Entry(TaskEntry):
    """A task of the class that a test names."""

    task: ClassVar[str] = "guess"
    measures: ClassVar[tuple[Measure, ...]] = (Measure("guess", "guess", "acc1", "Guess", "Other"),)

    kind: str = "guess"
    task_class: str = "Guess"

    def on(self, split, evaluate, validation=None):
        return globals()[self.task_class](split)


def test_a_sound_task_passes(splits):
    check_task(Entry(), splits["test_scenes"], {("guess", "acc1"): 1 / 6})


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Leaks", "12 random models have .* on average .* and chance is 0.1667"),
        ("NotFinite", "has values that are not finite"),
        ("ItemsOfTheModel", "which items there are depends on the model"),
        ("Foreign", "are no images of the split"),
        ("Meddles", "changes the embeddings"),
        ("Wavers", r"texts\(\) differs when the task is made again"),
        ("Unkept", "is not kept"),
        ("Nameless", r"measures names \['guess'\], and measure\(\) returned"),
    ],
)
def test_broken_tasks_fail(name, sentence, splits):
    with pytest.raises(AssertionError, match=sentence):
        check_task(Entry(task_class=name), splits["test_scenes"], {("guess", "acc1"): 1 / 6})
