"""The tasks: what each needs encoded, and what it makes of the embeddings.

A task is a class made for one split; ``evaluate`` encodes the texts of all tasks and splits once
for each weight setting and then lets every task measure. To add one, write such a class, add it
to ``TASKS`` and its name to ``config.sections.TaskName``. A task that makes choices makes them on
a validation split, and is in ``CHOOSING``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from PIL.Image import Image
from torch import Tensor

from clipdiff.config.sections import Evaluate
from clipdiff.errors import ConfigError, did_you_mean
from clipdiff.evaluate.results import Metric
from clipdiff.evaluate.splits import Split

TASKS = {
    "difference_classification": (
        "clipdiff.evaluate.difference_classification:DifferenceClassification"
    ),
    "zero_shot": "clipdiff.evaluate.zero_shot:ZeroShot",
    "clip_score": "clipdiff.evaluate.clip_score:ClipScore",
    "comparative_prompting": "clipdiff.evaluate.comparative_prompting:ComparativePrompting",
    "geometry": "clipdiff.evaluate.geometry:Geometry",
    "linear_probe": "clipdiff.evaluate.linear_probe:LinearProbe",
}
NOWHERE: Mapping[str, "Validation"] = {}
CHOOSING = ("comparative_prompting", "linear_probe")


class TextEmbeds:
    """L2-normalised embeddings (T, D) of distinct texts, looked up by text."""

    def __init__(self, texts: Sequence[str], text_embeds: Tensor):
        self.places = {text: place for place, text in enumerate(texts)}
        self.text_embeds = text_embeds

    def of(self, texts: Iterable[str]) -> Tensor:
        """Return (N, D) float32 text_embeds of N texts, repeats allowed."""
        return self.text_embeds[[self.places[text] for text in texts]]


@dataclass(frozen=True)
class Painted:
    """N pictures made of embeddings, and the image_embeds (N, D) that the judge makes of them."""

    pictures: list[Image]
    image_embeds: Tensor


@dataclass(frozen=True)
class View:
    """What one model makes of one split: image_embeds (n, D) float32 in the split's order.

    ``validation_embeds`` (v, D) are those of the split on which a task makes its choices.
    ``paint``, for a judge where ``evaluate.unclip`` is set, turns embeddings (N, D) of the cell
    into pictures, each from a random seed of its own.
    """

    text_embeds: TextEmbeds
    image_embeds: Tensor
    validation_embeds: Tensor | None = None
    paint: Callable[[Tensor, Sequence[int]], Painted] | None = None


@dataclass(frozen=True)
class Validation:
    """The split on which a task makes its choices, as the CLIP sees it before finetuning.

    ``image_embeds`` (v, D); ``encode`` gives the text_embeds (T, D) of T texts while a task is
    being made.
    """

    split: Split
    image_embeds: Tensor
    encode: Callable[[Sequence[str]], Tensor]


class Task(Protocol):
    """One task on one split."""

    def __init__(self, split: Split, settings: Evaluate) -> None:
        """Choose the items, from settings and data alone, so that they are every cell's."""

    def texts(self) -> list[str]:
        """Texts that the cell's text tower has to encode."""

    def reference_texts(self) -> list[str]:
        """Texts that the reference CLIP has to encode."""

    def measure(self, view: View, reference: View) -> list[Metric]:
        """Measure one weight setting of a cell, with the reference CLIP as the judge."""


def make_task(
    name: str, split: Split, settings: Evaluate, validations: Mapping[str, Validation] = NOWHERE
) -> Task:
    """Make a task by name for one split.

    Args:
        name: one of ``TASKS``.
        split: its pictures.
        settings: as they hold for the split.
        validations: all evaluated splits by name, for the tasks of ``CHOOSING``.

    Raises:
        ConfigError: there is no such task, or it lacks a validation split.
        DataError: the split lacks what the task needs.
    """
    if name not in TASKS:
        raise ConfigError(
            f"evaluate.tasks: got '{name}'{did_you_mean(name, TASKS)}; allowed: {', '.join(TASKS)}"
        )
    module, _, attribute = TASKS[name].partition(":")
    task = getattr(import_module(module), attribute)
    if name not in CHOOSING:
        return task(split, settings)
    return task(split, settings, chosen_on(name, split, settings, validations))


def chosen_on(
    name: str, split: Split, settings: Evaluate, validations: Mapping[str, Validation]
) -> Validation:
    """Return the split on which a task makes its choices for another.

    Raises:
        ConfigError: it is not evaluated, or has other classes.
    """
    validation = validations.get(settings.validation)
    if validation is None or validation.split.class_names != split.class_names:
        raise ConfigError(
            f"evaluate.validation: got '{settings.validation}' for {split.where}, expected one of "
            f"evaluate.splits with the same classes, for {name} to choose on; name it there or in "
            f"evaluate.per_split, or leave {name} out"
        )
    return validation
