"""Is an image's own caption the nearest of all captions of its split?"""

from typing import ClassVar

import numpy as np

from clipdiff.settings import Evaluate
from clipdiff.tasks.base import ItemText, Measure, Task, TaskEntry, Validation, View
from clipdiff.tasks.measuring.metrics import Items, Metric
from clipdiff.tasks.measuring.splits import Split


class CaptionRecall(TaskEntry):
    """Retrieval of captions, recall at 1."""

    task: ClassVar[str] = "caption_recall"
    measures: ClassVar[tuple[Measure, ...]] = (
        Measure("caption_recall", "caption_recall", "recall1", "Caption recall@1", "Retrieval"),
    )

    kind: str = "caption_recall"

    def on(self, split: Split, evaluate: Evaluate, validation: Validation | None = None) -> Task:
        """Take every image of the split that has a caption."""
        return CaptionRecallTask(split)


class CaptionRecallTask:
    """The task on one split."""

    def __init__(self, split: Split):
        self.captions = split.captions
        self.rows = np.array([row for row, text in enumerate(split.captions) if text])
        ids = split.image_ids[self.rows]
        self.items = Items(ids, ids)

    def texts(self) -> list[str]:
        """Return the captions."""
        return list(dict.fromkeys(self.captions[row] for row in self.rows))

    def reference_texts(self) -> list[str]:
        """Return none: there is no judge."""
        return []

    def measure(self, view: View, reference: View) -> list[Metric]:
        """Compare every image with every caption."""
        texts = self.texts()
        nearest = (view.image_embeds[self.rows] @ view.text_embeds.of(texts).T).argmax(1)
        right = [
            float(texts[int(place)] == self.captions[row])
            for place, row in zip(nearest, self.rows, strict=True)
        ]
        return [Metric("caption_recall", "recall1", np.array(right), self.items, kept=True)]

    def item_texts(self, task: str, metric: str) -> dict[int, ItemText]:
        """Return each image's caption."""
        ids = self.items.ids.tolist()
        return {
            item: ItemText(self.captions[row], (item,))
            for item, row in zip(ids, self.rows, strict=True)
        }
