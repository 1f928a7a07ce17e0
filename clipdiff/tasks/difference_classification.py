"""Difference-based classification (Sam et al. 2025): does a text point along its difference?

For a pair of images (i, j) that differ in an attribute, and the text c that truly says how, the
pair is right if <e_c, x_i - x_j> > 0. An exact 0 (equal embeddings) counts one half: a model
that can't tell is at chance, not below it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from clipdiff.settings import Evaluate
from clipdiff.tasks.base import ItemText, Measure, TaskEntry, Validation, View
from clipdiff.tasks.measuring.metrics import Items, Metric, stderr_over_draws
from clipdiff.tasks.measuring.splits import Split
from clipdiff.tasks.texts.difference_pairs import (
    AttributePairs,
    difference_pairs,
    questions_about_pairs,
)
from clipdiff.tasks.texts.evaluation_questions import EvaluationQuestion

if TYPE_CHECKING:
    from torch import Tensor

TASK = "difference"
MEAN = "mean"


class DifferenceClassification(TaskEntry):
    """Difference accuracy of every attribute of the templates, of written texts, and their mean."""

    task: ClassVar[str] = TASK
    text_tables: ClassVar[frozenset[str]] = frozenset({"pair_differences"})
    measures: ClassVar[tuple[Measure, ...]] = (
        Measure(
            "difference",
            f"{TASK}/{MEAN}",
            "accuracy",
            "Difference accuracy",
            "Accuracy",
            main=True,
            grouped=True,
            about="A pair differs in a known attribute, and a text states it. Right if the "
            "product of its embedding with the difference of the two image embeddings is "
            "above 0; chance is 0.5. The mean over the attributes is shown. Pairs are "
            "asked in both orders, so a model blind to the direction gets exactly 0.5.",
        ),
    )

    kind: Literal["difference_classification"] = "difference_classification"

    def on(
        self, split: Split, evaluate: Evaluate, validation: Validation | None = None
    ) -> "DifferenceClassificationTask":
        """Draw pairs of the split's images."""
        return DifferenceClassificationTask(split, evaluate)

    def questions(
        self, split: Split, evaluate: Evaluate, validation: Validation | None = None
    ) -> Iterator[EvaluationQuestion]:
        """Ask about held-out pairs, for the task ``written``."""
        return questions_about_pairs(split, evaluate)


class DifferenceClassificationTask:
    """The pairs of one split, by attribute."""

    def __init__(self, split: Split, evaluate: Evaluate):
        self.split = split
        self.attributes = difference_pairs(split, evaluate)

    def texts(self) -> list[str]:
        """The true and the swapped text of every pair."""
        return [
            text for pairs in self.attributes for text in (*pairs.true_texts, *pairs.swapped_texts)
        ]

    def reference_texts(self) -> list[str]:
        """No judge needed."""
        return []

    def measure(self, view: View, reference: View) -> list[Metric]:
        """Return accuracy, auc, swap_consistency and score of each attribute, then of all."""
        outcomes = [pair_outcomes(pairs, view) for pairs in self.attributes]
        metrics = []
        for pairs, values in zip(self.attributes, outcomes, strict=True):
            metrics += self._metrics(pairs.name, [pairs], [values])
        return metrics + self._metrics(MEAN, self.attributes, outcomes)

    def _metrics(
        self, name: str, parts: list[AttributePairs], outcomes: list[dict[str, np.ndarray]]
    ) -> list[Metric]:
        """Pool attributes: a metric is the mean of the attributes' means."""
        sizes = [len(pairs.draws) for pairs in parts]
        groups = np.repeat(np.arange(len(parts)), sizes) if len(parts) > 1 else None
        draws = np.concatenate([pairs.draws for pairs in parts])
        image_ids = self.split.image_ids[np.concatenate([pairs.pair_rows for pairs in parts])]
        items = Items(np.arange(sum(sizes)), image_ids[:, 0], image_ids[:, 1])
        metrics = []
        for metric in outcomes[0]:
            values = np.concatenate([part[metric] for part in outcomes])
            metrics.append(
                Metric(
                    f"{TASK}/{name}",
                    metric,
                    values,
                    items,
                    groups=groups,
                    kept=metric in ("accuracy", "score"),
                    stderr=stderr_over_draws(values, draws, groups),
                )
            )
        return metrics

    def item_texts(self, task: str, metric: str) -> dict[int, ItemText]:
        """Return the true text of each pair."""
        name = task.removeprefix(f"{TASK}/")
        parts = [pairs for pairs in self.attributes if name in (pairs.name, MEAN)]
        texts = [text for pairs in parts for text in pairs.true_texts]
        rows = np.concatenate([pairs.pair_rows for pairs in parts])
        ids = self.split.image_ids[rows].tolist()
        return {
            place: ItemText(text, tuple(pair))
            for place, (text, pair) in enumerate(zip(texts, ids, strict=True))
        }


def pair_outcomes(pairs: AttributePairs, view: View) -> dict[str, np.ndarray]:
    """Return (N,) float64 per-pair values of each metric; ``score`` is the product itself."""
    first, second = pairs.pair_rows.T
    differences = view.image_embeds[first] - view.image_embeds[second]  # (N, D)
    true = _dots(view.text_embeds.of(pairs.true_texts), differences)
    swapped = _dots(view.text_embeds.of(pairs.swapped_texts), differences)
    return {
        "accuracy": (true > 0) + 0.5 * (true == 0),
        "auc": auc_parts(true, swapped),
        "swap_consistency": ((true > 0) & (swapped < 0)).astype(np.float64),
        "score": true,
    }


def auc_parts(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Return (N,) values whose mean is the ROC-AUC, and that vary as it does.

    Value k is V10(k) + V01(k) - AUC, of the placements of DeLong (1988): a bootstrap of their
    mean is the AUC's to first order.

    Args:
        positives: (N,) scores of the true texts.
        negatives: (N,) scores of the swapped texts.
    """
    above = _share_below(positives, negatives)
    below = 1.0 - _share_below(negatives, positives)
    return above + below - above.mean()


def _share_below(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the share of others below each score, ties counting one half."""
    others = np.sort(others)
    low, high = (np.searchsorted(others, scores, side) for side in ("left", "right"))
    return (low + high) / (2.0 * len(others))


def _dots(text_embeds: "Tensor", differences: "Tensor") -> np.ndarray:
    return (text_embeds * differences).sum(1).double().numpy()
