"""Zero-shot classification of pictures by the nearest class prompt (Radford 2021, 3.1)."""

from statistics import NormalDist

import numpy as np
import torch

from clipdiff.settings import Evaluate
from clipdiff.errors import DataError
from clipdiff.tasks.texts.class_prompts import class_embeds, class_prompts
from clipdiff.tasks.base import View
from clipdiff.tasks.measuring.metrics import Items, Metric
from clipdiff.tasks.measuring.splits import Split
from clipdiff.stats.bootstrap import Interval

TASK = "zero_shot"
TOP = 5


class ZeroShot:
    """Zero-shot accuracy over all classes of the captions table.

    Pictures without a label are left out. ``mean_per_class_recall`` and ``worst_class_recall``
    are over the classes that the split shows.
    """

    def __init__(self, split: Split, settings: Evaluate):
        self.rows = labelled_rows(split, TASK)
        self.labels = split.labels[self.rows]
        self.items = Items(ids=split.image_ids[self.rows], image_id_1=split.image_ids[self.rows])
        self.prompts = class_prompts(settings.prompt, split.class_names)
        self.classes = len(split.class_names)
        self.confidence = settings.confidence

    def texts(self) -> list[str]:
        """All prompts of each class."""
        return self.prompts

    def reference_texts(self) -> list[str]:
        """No judge needed."""
        return []

    def measure(self, view: View, reference: View) -> list[Metric]:
        """Return acc1, acc5, mean_per_class_recall and worst_class_recall."""
        classifier = class_embeds(view.text_embeds.of(self.prompts), self.classes)  # (C, D)
        logits = view.image_embeds[self.rows] @ classifier.T  # (n, C)
        best = logits.topk(min(TOP, logits.shape[1]), dim=1).indices
        hits = (best == torch.from_numpy(self.labels)[:, None]).numpy()
        first, any_best = hits[:, 0].astype(np.float64), hits.any(1).astype(np.float64)
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


def labelled_rows(split: Split, task: str) -> np.ndarray:
    """Return (n,) int64: the pictures of a split that have a label.

    Raises:
        DataError: there is none, or there are fewer than two classes.
    """
    rows = np.flatnonzero(split.labels >= 0)
    if not len(rows) or len(split.class_names) < 2:
        raise DataError(
            f"{split.where}: {len(rows)} labelled pictures and {len(split.class_names)} classes; "
            f"{task} needs labels of at least 2 classes: fill the label column, or leave {task} "
            "out of evaluate.tasks or of the split's own in evaluate.per_split"
        )
    return rows


def worst_class(hits: np.ndarray, labels: np.ndarray) -> int:
    """Return the class of the lowest recall: the one with most pictures where several tie.

    Args:
        hits: (n,) float64, 1 where the picture's class came first.
        labels: (n,) int64 class ids.
    """
    classes, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    recall = np.bincount(places, hits) / counts
    return int(classes[np.lexsort((-counts, recall))[0]])


def wilson_interval(hits: np.ndarray, confidence: float) -> Interval:
    """Return the score interval (Wilson 1927) of a share, right for few items and shares of 0.

    It is the interval of this class alone: that the class was picked for being the worst is not
    in it.
    """
    share, count = float(hits.mean()), len(hits)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * ((share * (1 - share) + z**2 / (4 * count)) / count) ** 0.5
    stderr = (share * (1 - share) / count) ** 0.5
    return Interval(stderr=stderr, low=max(0.0, centre - half), high=min(1.0, centre + half))
