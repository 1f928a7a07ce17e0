"""Do difference texts lie where the differences of class prompts lie?

For classes a and b with prompts t_a, t_b, and the text e_ab that says how a differs from b.
"""

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from clipdiff.errors import DataError
from clipdiff.settings import LLM_TEXTS, Evaluate, Positive
from clipdiff.tasks.base import ItemText, Measure, TaskEntry, Validation, View
from clipdiff.tasks.measuring.metrics import Items, Metric
from clipdiff.tasks.measuring.splits import Split, labelled_rows
from clipdiff.tasks.texts.class_prompts import class_embeds, class_prompts
from clipdiff.tasks.texts.class_texts import ClassTexts
from clipdiff.tasks.texts.evaluation_questions import EvaluationQuestion, about_classes

if TYPE_CHECKING:
    from torch import Tensor

TASK = "geometry"


class Geometry(TaskEntry):
    """Directions and analogies of the texts of pairs of classes."""

    task: ClassVar[str] = TASK
    text_tables: ClassVar[frozenset[str]] = frozenset({"class_differences"})
    asks_by: ClassVar[frozenset[str]] = frozenset({"class_pairs"})
    items_are_classes: ClassVar[bool] = True
    measures: ClassVar[tuple[Measure, ...]] = (
        Measure(
            "direction",
            TASK,
            "direction",
            "Direction of class texts",
            "Geometry",
            about="Whether the text of how class a differs from b lies nearer to the difference "
            "of their prompts than the reverse text does; chance is 0.5.",
        ),
        Measure(
            "analogy",
            TASK,
            "analogy",
            "Analogy of class texts",
            "Geometry",
            about="Whether b's prompt plus that text is nearest to a's prompt.",
        ),
    )

    kind: Literal["geometry"] = "geometry"
    class_pairs: Positive = Field(500, description="pairs of classes a split")

    def on(
        self, split: Split, evaluate: Evaluate, validation: Validation | None = None
    ) -> "GeometryTask":
        """Draw pairs of the split's classes."""
        return GeometryTask(self, split, evaluate)

    def questions(
        self, split: Split, evaluate: Evaluate, validation: Validation | None = None
    ) -> Iterator[EvaluationQuestion]:
        """Ask about pairs of classes, and then about the same in the other order."""
        if evaluate.class_differences != LLM_TEXTS:
            return
        labels = np.unique(split.labels[labelled_rows(split, TASK)])
        pairs = pairs_in_random_order(labels, split, evaluate)[: self.class_pairs].tolist()
        for first, second in pairs:
            yield about_classes(split, first, second)
        for first, second in pairs:
            yield about_classes(split, second, first)


class GeometryTask:
    """Cosines and analogies over pairs of classes, each pair in one order drawn at random.

    ``cosine`` is of e_ab with t_a - t_b, ``cosine_reverse`` of the reverse text e_ba with the
    same; ``direction``: the first is the larger, chance 0.5; ``analogy``: of all class prompts but
    t_b, that nearest to t_b + e_ab is t_a, chance 1 / (C - 1). A pair of which an LLM wrote nothing
    usable counts as such: cosines 0, direction one half, no analogy; so the pairs are the same
    whoever writes. Items rest on two classes, not on images: intervals are by resampling
    classes, whose ids stand in the items' image columns.
    """

    def __init__(self, entry: Geometry, split: Split, evaluate: Evaluate):
        labels = np.unique(split.labels[labelled_rows(split, TASK)])
        self.class_names = split.class_names
        self.prompts = class_prompts(evaluate.prompt, split.class_names)
        most = entry.class_pairs
        self.pairs, self.true_texts, self.reverse_texts = _draw_pairs(labels, split, evaluate, most)
        self.items = Items(np.arange(len(self.pairs)), *self.pairs.T)

    def texts(self) -> list[str]:
        """All prompts of each class, and each pair's text and its reverse."""
        return [*self.prompts, *self.true_texts, *self.reverse_texts]

    def reference_texts(self) -> list[str]:
        """No judge needed."""
        return []

    def measure(self, view: View, reference: View) -> list[Metric]:
        """Return cosine, cosine_reverse, direction and analogy."""
        import torch
        from torch.nn.functional import cosine_similarity

        prompts = class_embeds(view.text_embeds.of(self.prompts), len(self.class_names))  # (C, D)
        first, second = torch.from_numpy(self.pairs).T
        texts = view.text_embeds.of(self.true_texts)  # (P, D)
        differences = prompts[first] - prompts[second]
        true = cosine_similarity(texts, differences)
        reverse = cosine_similarity(view.text_embeds.of(self.reverse_texts), differences)
        both = zip(self.true_texts, self.reverse_texts, strict=True)
        unsaid = torch.tensor([not (text and other) for text, other in both])
        true, reverse = (cosine.masked_fill(unsaid, 0.0) for cosine in (true, reverse))
        outcomes = {
            "cosine": true,
            "cosine_reverse": reverse,
            "direction": (true > reverse) + 0.5 * (true == reverse),
            "analogy": (analogies(prompts, texts, second) == first) & ~unsaid,
        }
        return [
            Metric(
                TASK,
                name,
                values.double().numpy(),
                self.items,
                kept=True,
                higher_is_better=name != "cosine_reverse",
            )
            for name, values in outcomes.items()
        ]

    def item_texts(self, task: str, metric: str) -> dict[int, ItemText]:
        """Return the text of each pair of classes."""
        return {
            place: ItemText(
                text or "(the LLM wrote nothing of use)",
                tuple(pair),
                tuple(self.class_names[each] for each in pair),
            )
            for place, (text, pair) in enumerate(
                zip(self.true_texts, self.pairs.tolist(), strict=True)
            )
        }


def analogies(prompts: "Tensor", texts: "Tensor", second: "Tensor") -> "Tensor":
    """Return (P,) int64: the class nearest to t_b + e_ab, b itself left out.

    Args:
        prompts: (C, D) class prompts, L2-normalised.
        texts: (P, D) difference texts e_ab, L2-normalised.
        second: (P,) int64 class ids b.
    """
    import torch

    nearness = (prompts[second] + texts) @ prompts.T  # (P, C)
    nearness[torch.arange(len(second)), second] = -torch.inf
    return nearness.argmax(1)


def pairs_in_random_order(labels: np.ndarray, split: Split, evaluate: Evaluate) -> np.ndarray:
    """Return all (P, 2) pairs of some class ids, each in one order, in an order of the seed."""
    stream = [evaluate.seed % 2**32, zlib.crc32(split.name.encode()), zlib.crc32(TASK.encode())]
    rng = np.random.default_rng(stream)
    pairs = labels[np.stack(np.triu_indices(len(labels), 1), axis=1)]
    return rng.permuted(rng.permutation(pairs), axis=1)


def _draw_pairs(
    labels: np.ndarray, split: Split, evaluate: Evaluate, most: int
) -> tuple[np.ndarray, list[str], list[str]]:
    """Return (P, 2) int64 class ids, and the texts of each pair in its order and reversed."""
    texts = ClassTexts(split, evaluate)
    pairs: list[tuple[int, int]] = []
    true_texts, reverse_texts = [], []
    for first, second in pairs_in_random_order(labels, split, evaluate):
        if len(pairs) == most:
            break
        text, reverse = texts.of(first, second), texts.of(second, first)
        if text is not None and reverse is not None:
            pairs.append((first, second))
            true_texts.append(text)
            reverse_texts.append(reverse)
    if not pairs:
        raise DataError(
            f"{split.where}: no text tells two classes apart; add an attribute that all images "
            "of a class share to evaluate.templates, name texts by evaluate.class_differences, or "
            "leave geometry out of evaluate.tasks"
        )
    return np.array(pairs, dtype=np.int64), true_texts, reverse_texts
