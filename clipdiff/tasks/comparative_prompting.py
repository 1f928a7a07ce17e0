"""Comparative prompting (Sam et al. 2025): class prompts moved by texts "class a versus class b".

Which classes are told apart is read off the confusions of the CLIP before finetuning, and how far
a prompt moves off the finetuned one's accuracy: both on a validation split, so no test image has
a say.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from clipdiff.errors import DataError
from clipdiff.settings import LLM_TEXTS, Evaluate, Fraction, Positive
from clipdiff.stats.bootstrap import interval_of, resampled_means
from clipdiff.tasks.base import ItemText, Measure, TaskEntry, Validation, View, required
from clipdiff.tasks.measuring.metrics import Items, Metric
from clipdiff.tasks.measuring.splits import Split, labelled_rows
from clipdiff.tasks.texts.class_prompts import class_embeds, class_prompts
from clipdiff.tasks.texts.class_texts import ClassTexts, read_class_descriptions
from clipdiff.tasks.texts.evaluation_questions import (
    EvaluationQuestion,
    about_a_class,
    about_classes,
)

if TYPE_CHECKING:
    from torch import Tensor

TASK = "comparative_prompting"


class ComparativePrompting(TaskEntry):
    """Zero-shot accuracy with class prompts that texts move apart."""

    task: ClassVar[str] = TASK
    text_tables: ClassVar[frozenset[str]] = frozenset({"class_differences", "class_descriptions"})
    asks_by: ClassVar[frozenset[str]] = frozenset({"confusions"})
    chooses: ClassVar[bool] = True
    without_text: ClassVar[str] = "the cell's CLIP chose it"
    measures: ClassVar[tuple[Measure, ...]] = (
        Measure(
            "comparative",
            TASK,
            "acc1",
            "Comparative prompting acc1",
            "Comparative prompting",
            main=True,
            independent=True,
            about="Zero-shot acc1 with class prompts that texts “class a versus class b” have "
            "moved.",
        ),
        Measure(
            "comparative_gain",
            TASK,
            "gain",
            "Gain over plain prompts",
            "Comparative prompting",
            about="The same, less the accuracy with the plain prompts of the same model; so the "
            "pretrained CLIP has one, too.",
        ),
    )

    kind: Literal["comparative_prompting"] = "comparative_prompting"
    confusions: Positive = Field(3, description="most classes that one is told apart from")
    prompt_alphas: list[Fraction] = Field(
        default=[0.8, 0.85, 0.9],
        min_length=1,
        description="shares of the plain prompt, one is chosen",
    )

    def on(
        self, split: Split, evaluate: Evaluate, validation: Validation | None = None
    ) -> "ComparativePromptingTask":
        """Move the prompts of the classes that the CLIP confuses on the validation split."""
        return ComparativePromptingTask(self, split, evaluate, required(validation))

    def questions(
        self, split: Split, evaluate: Evaluate, validation: Validation | None = None
    ) -> Iterator[EvaluationQuestion]:
        """Ask how the confused classes differ, and what each class looks like."""
        if evaluate.class_differences == LLM_TEXTS:
            pairs = classes_to_tell_apart(required(validation), evaluate, self.confusions)
            for first, second in pairs.tolist():
                yield about_classes(split, first, second)
        if evaluate.class_descriptions == LLM_TEXTS:
            for name in split.class_names:
                yield about_a_class(name)


class ComparativePromptingTask:
    """Zero-shot accuracy with moved prompts: over all classes, and over those that moved.

    ``acc1`` is over all labelled images, ``gain`` what it is above the plain prompts of the
    same weights, ``acc1_confused`` over the images of the moved classes alone. ``prompt_alpha``
    is the share of the plain prompt that the validation split chose, its interval the same choice
    on resampled images. ``acc1_described``, where an LLM has described classes, is the paper's
    comparison: the descriptions stand in for the prompts.
    """

    def __init__(
        self, entry: ComparativePrompting, split: Split, evaluate: Evaluate, validation: Validation
    ):
        self.evaluate, self.classes = evaluate, len(split.class_names)
        self.prompt_alphas = entry.prompt_alphas
        self.rows, self.labels = _labelled(split)
        self.validation_rows, self.validation_labels = _labelled(validation.split)
        self.items = Items(split.image_ids[self.rows], split.image_ids[self.rows])
        self.validation_ids = validation.split.image_ids[self.validation_rows]
        self.prompts = class_prompts(evaluate.prompt, split.class_names)
        self.pairs, self.pair_texts = _texts_of_pairs(validation, evaluate, entry.confusions)
        self.descriptions: dict[int, str] = {}
        if evaluate.class_descriptions:
            path = Path(evaluate.class_descriptions)
            self.descriptions = read_class_descriptions(path, split.class_names)

    def texts(self) -> list[str]:
        """All prompts of each class, the texts that move them, and descriptions."""
        return [*self.prompts, *self.pair_texts, *self.descriptions.values()]

    def reference_texts(self) -> list[str]:
        """No judge needed."""
        return []

    def measure(self, view: View, reference: View) -> list[Metric]:
        """Return acc1, gain, acc1_confused, acc1_described and prompt_alpha."""
        plain = class_embeds(view.text_embeds.of(self.prompts), self.classes)  # (C, D)
        differences = view.text_embeds.of(self.pair_texts)  # (P, D)
        alpha, choice = self._choose_alpha(plain, differences, view.validation_embeds)
        moved = moved_prompts(plain, differences, self.pairs, alpha)
        hits = _hits(view.image_embeds[self.rows], moved, self.labels)
        before = _hits(view.image_embeds[self.rows], plain, self.labels)
        confused = np.isin(self.labels, self.pairs[:, 1])
        metrics = [
            Metric(TASK, "acc1", hits, self.items, kept=True),
            Metric(TASK, "gain", hits - before, self.items, kept=True),
        ]
        if confused.any():
            items = self.items.take(confused)
            metrics.append(Metric(TASK, "acc1_confused", hits[confused], items, kept=True))
        if self.descriptions:
            described = plain.clone()
            described[list(self.descriptions)] = view.text_embeds.of(self.descriptions.values())
            hits = _hits(view.image_embeds[self.rows], described, self.labels)
            metrics.append(Metric(TASK, "acc1_described", hits, self.items, kept=True))
        return [*metrics, choice]

    def item_texts(self, task: str, metric: str) -> dict[int, ItemText]:
        """Return nothing: which texts move the prompts, and how far, CLIPs have chosen."""
        return {}

    def _choose_alpha(
        self, plain: "Tensor", differences: "Tensor", image_embeds: "Tensor | None"
    ) -> tuple[float, Metric]:
        """Choose the share by validation accuracy: the largest, least moved, of equal ones."""
        evaluate, images = self.evaluate, required(image_embeds)[self.validation_rows]
        alphas = np.sort(self.prompt_alphas)[::-1]
        prompts = [moved_prompts(plain, differences, self.pairs, alpha) for alpha in alphas]
        hits = np.stack([_hits(images, moved, self.validation_labels) for moved in prompts])
        resampled = resampled_means(
            hits, self.validation_ids, None, resamples=evaluate.resamples, seed=evaluate.seed
        )  # (A, R)
        alpha = float(alphas[hits.mean(1).argmax()])
        return alpha, Metric(
            TASK,
            "prompt_alpha",
            np.full(hits.shape[1], alpha),
            Items(self.validation_ids, self.validation_ids),
            interval=interval_of(alphas[resampled.argmax(0)], evaluate.confidence),
        )


def moved_prompts(
    plain: "Tensor", differences: "Tensor", pairs: np.ndarray, alpha: float
) -> "Tensor":
    """Return (C, D) t_b' = normalise(p t_b + (1 - p) mean_a (t_a - e_ab)), p = alpha.

    Args:
        plain: (C, D) class prompts t, L2-normalised.
        differences: (P, D) e_ab, L2-normalised: how class a differs from class b.
        pairs: (P, 2) int64 class ids a, b. A class that is no b stays as it is.
        alpha: share of the plain prompt, 0 to 1.
    """
    import torch
    from torch.nn.functional import normalize

    first, second = torch.from_numpy(pairs).T
    sums = torch.zeros_like(plain).index_add(0, second, plain[first] - differences)
    counts = torch.bincount(second, minlength=len(plain))[:, None]  # (C, 1)
    moved = normalize(alpha * plain + (1 - alpha) * sums / counts.clamp(min=1), dim=1)
    return torch.where(counts > 0, moved, plain)


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return (C, C) int64: how many images of each class (row) were taken for each (column)."""
    flat = np.bincount(labels * classes + predicted, minlength=classes**2)
    return flat.reshape(classes, classes)


def classes_to_tell_apart(
    validation: Validation, evaluate: Evaluate, confusions: int
) -> np.ndarray:
    """Return (P, 2) int64 pairs a, b that the CLIP before finetuning confuses on validation."""
    split, (rows, labels) = validation.split, _labelled(validation.split)
    classes = len(split.class_names)
    prompts = class_prompts(evaluate.prompt, split.class_names)
    classifier = class_embeds(validation.encode(prompts), classes)
    best = (validation.image_embeds[rows] @ classifier.T).argmax(1).numpy()
    return confused_pairs(confusion_matrix(labels, best, classes), confusions)


def confused_pairs(counts: np.ndarray, most: int) -> np.ndarray:
    """Return (P, 2) int64 pairs a, b: for each class b those that it is most confused with.

    Args:
        counts: (C, C) confusion matrix; both ways of a confusion count.
        most: of each b; of equally frequent ones, the first in the order of classes.
    """
    both = counts + counts.T
    np.fill_diagonal(both, 0)
    order = np.argsort(-both, axis=1, kind="stable")[:, :most]
    second = np.repeat(np.arange(len(counts)), order.shape[1])
    pairs = np.stack([order.ravel(), second], axis=1)
    return pairs[both[pairs[:, 1], pairs[:, 0]] > 0]


def _texts_of_pairs(
    validation: Validation, evaluate: Evaluate, confusions: int
) -> tuple[np.ndarray, list[str]]:
    """Return the confused pairs that a text tells apart, and their texts."""
    split = validation.split
    class_texts = ClassTexts(split, evaluate)
    pairs = classes_to_tell_apart(validation, evaluate, confusions)
    texts = [class_texts.of(first, second) for first, second in pairs]
    if len(pairs) and all(text is None for text in texts):
        raise DataError(
            f"{split.where}: no text tells any of the {len(pairs)} confused pairs of classes "
            "apart; add an attribute that all images of a class share to evaluate.templates, or "
            "name texts by evaluate.class_differences"
        )
    useful = np.array([bool(text) for text in texts], dtype=bool)
    return pairs[useful], [text for text in texts if text]


def _labelled(split: Split) -> tuple[np.ndarray, np.ndarray]:
    rows = labelled_rows(split, TASK)
    return rows, split.labels[rows]


def _hits(image_embeds: "Tensor", classifier: "Tensor", labels: np.ndarray) -> np.ndarray:
    best = (image_embeds @ classifier.T).argmax(1)
    return (best.numpy() == labels).astype(np.float64)
