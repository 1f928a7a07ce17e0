"""Zero-shot classification of images by the nearest class prompt (Radford 2021, 3.1)."""

from typing import ClassVar, Literal

import numpy as np

from clipdiff.settings import Evaluate
from clipdiff.stats.bootstrap import Interval
from clipdiff.tasks.base import ItemText, Measure, TaskEntry, Validation, View
from clipdiff.tasks.measuring.metrics import Items, Metric
from clipdiff.tasks.measuring.splits import Split, labelled_rows
from clipdiff.tasks.texts.class_prompts import class_embeds, class_prompts

TASK = "zero_shot"
TOP = 5


class ZeroShot(TaskEntry):
    """Zero-shot accuracy over all classes of the captions table."""

    task: ClassVar[str] = TASK
    measures: ClassVar[tuple[Measure, ...]] = (
        Measure(
            "zero_shot",
            TASK,
            "acc1",
            "Zero-shot acc1",
            "Accuracy",
            main=True,
            independent=True,
            about="The share of images whose own class name, in a prompt, is the nearest of all "
            "class names.",
        ),
    )

    kind: Literal["zero_shot"] = "zero_shot"

    def on(
        self, split: Split, evaluate: Evaluate, validation: Validation | None = None
    ) -> "ZeroShotTask":
        """Classify the split's labelled images."""
        return ZeroShotTask(split, evaluate)


class ZeroShotTask:
    """Zero-shot accuracy on one split.

    Images without a label are left out. ``mean_per_class_recall`` and ``worst_class_recall`` are
    over the classes that the split has images of.
    """

    def __init__(self, split: Split, evaluate: Evaluate):
        self.rows = labelled_rows(split, TASK)
        self.labels = split.labels[self.rows]
        self.items = Items(ids=split.image_ids[self.rows], image_id_1=split.image_ids[self.rows])
        self.prompts = class_prompts(evaluate.prompt, split.class_names)
        self.classes = len(split.class_names)
        self.confidence = evaluate.confidence

    def texts(self) -> list[str]:
        """All prompts of each class."""
        return self.prompts

    def reference_texts(self) -> list[str]:
        """No judge needed."""
        return []

    def measure(self, view: View, reference: View) -> list[Metric]:
        """Return acc1, acc5, mean_per_class_recall and worst_class_recall."""
        import torch

        classifier = class_embeds(view.text_embeds.of(self.prompts), self.classes)  # (C, D)
        logits = view.image_embeds[self.rows] @ classifier.T  # (n, C)
        best = logits.topk(min(TOP, logits.shape[1]), dim=1).indices
        hits = (best == torch.from_numpy(self.labels)[:, None]).numpy()
        first, any_best = (hits[:, :k].max(1).astype(np.float64) for k in (1, TOP))
        worst = self.labels == worst_class(first, self.labels)
        items = self.items
        return [
            Metric(TASK, "acc1", first, items, kept=True),
            Metric(TASK, f"acc{TOP}", any_best, items, kept=True),
            Metric(TASK, "mean_per_class_recall", first, items, groups=self.labels),
            Metric(
                TASK,
                "worst_class_recall",
                first[worst],
                items.take(worst),
                interval=wilson_interval(first[worst], self.confidence),
            ),
        ]

    def item_texts(self, task: str, metric: str) -> dict[int, ItemText]:
        """Return for each image the prompt of its own class, the first of several."""
        templates = len(self.prompts) // self.classes
        labels = zip(self.items.ids.tolist(), self.labels, strict=True)
        return {
            image_id: ItemText(self.prompts[label * templates], (image_id,))
            for image_id, label in labels
        }


def worst_class(hits: np.ndarray, labels: np.ndarray) -> int:
    """Return the class of the lowest recall: the one with most images where several tie.

    Args:
        hits: (n,) float64, 1 where the image's class came first.
        labels: (n,) int64 class ids.
    """
    classes, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    recall = np.bincount(places, hits) / counts
    return int(classes[np.lexsort((-counts, recall))[0]])


def wilson_interval(hits: np.ndarray, confidence: float) -> Interval:
    """Return the score interval (Wilson 1927) of a share, right for few items and shares of 0.

    It is the interval of this class alone: that the class was picked for being the worst is not
    in it.

    Args:
        hits: (n,) float64, 0 or 1.
        confidence: nominal coverage, 0 to 1.
    """
    from statsmodels.stats.proportion import proportion_confint

    share, count = float(hits.mean()), len(hits)
    low, high = proportion_confint(hits.sum(), count, alpha=1 - confidence, method="wilson")
    stderr = (share * (1 - share) / count) ** 0.5
    return Interval(stderr, low=min(share, float(low)), high=max(share, float(high)))  # of 0, of 1
