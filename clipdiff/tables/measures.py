"""What the tables compare: the main metrics, the splits they report, the row a name stands for."""

from collections.abc import Sequence
from dataclasses import dataclass

VALIDATION = "validation"
FINETUNED = "finetuned"


@dataclass(frozen=True)
class Measure:
    """One main metric; ``task`` and ``metric`` are its names in the metrics files.

    ``family`` heads the tables that it stands in. ``grouped``: it is the mean over the tasks of
    its kind (``difference/size``, ...), which lie in the items file. ``independent``: no two items
    share a picture, so McNemar's test fits.
    """

    name: str
    task: str
    metric: str
    title: str
    family: str
    grouped: bool = False
    independent: bool = False

    def holds(self, task: str) -> bool:
        """Return whether a task's items are items of this measure."""
        if not self.grouped:
            return task == self.task
        return task.startswith(self.task.split("/")[0] + "/") and task != self.task


DIFFERENCE = Measure(
    "difference", "difference/mean", "accuracy", "Difference accuracy", "Accuracy", grouped=True
)
ZERO_SHOT = Measure(
    "zero_shot", "zero_shot", "acc1", "Zero-shot acc1", "Accuracy", independent=True
)
RETRIEVAL = Measure("retrieval", "clip_score", "retrieval", "CLIP-Score, retrieval", "CLIP-Score")
EDIT = Measure("edit", "clip_score", "edit", "CLIP-Score, edit", "CLIP-Score")
MEASURES = (DIFFERENCE, ZERO_SHOT, RETRIEVAL, EDIT)


def reported_splits(splits: Sequence[str]) -> list[str]:
    """Return the splits that tables show: all but the one that choices are made on."""
    return [split for split in splits if split != VALIDATION] or list(splits)


def row_kind(llm: str) -> str:
    """Return ``pretrained``, ``control`` or ``cell`` for the ``llm`` of a row."""
    if llm == "pretrained":
        return "pretrained"
    control = llm == "captions" or llm.startswith(("rewritten-", "shuffled-"))
    return "control" if control else "cell"


def figure_names(tasks: Sequence[str]) -> list[str]:
    """Return the figures that ``gather`` draws, by the configured tasks."""
    difference, zero_shot = "difference_classification" in tasks, "zero_shot" in tasks
    wanted = {
        "heatmap_difference": difference,
        "heatmap_zero_shot": zero_shot,
        "gain": difference,
        "tradeoff": difference and zero_shot,
        "training_curves": True,
        "llm_quality": True,
        "example_pairs": difference,
    }
    return [name for name, is_wanted in wanted.items() if is_wanted]
