"""What the tables compare: the main metrics, the splits they report, the row a name stands for."""

from dataclasses import dataclass

from clipdiff.settings import Evaluate

FINETUNED = "finetuned"


@dataclass(frozen=True)
class Measure:
    """One metric that is compared; ``task`` and ``metric`` are its names in the metrics files.

    ``family`` heads the tables that it stands in. ``main``: the report answers its questions by
    it. ``grouped``: it is the mean over the tasks of its kind (``difference/size``, ...), which
    lie in the items file. ``independent``: items are right or wrong and no two share a picture, so
    McNemar's test fits.
    """

    name: str
    task: str
    metric: str
    title: str
    family: str
    main: bool = False
    grouped: bool = False
    independent: bool = False

    def holds(self, task: str) -> bool:
        """Return whether a task's items are items of this measure."""
        if not self.grouped:
            return task == self.task
        return task.startswith(self.task.split("/")[0] + "/") and task != self.task


DIFFERENCE = Measure(
    "difference",
    "difference/mean",
    "accuracy",
    "Difference accuracy",
    "Accuracy",
    main=True,
    grouped=True,
)
ZERO_SHOT = Measure(
    "zero_shot", "zero_shot", "acc1", "Zero-shot acc1", "Accuracy", main=True, independent=True
)
MEASURES = (
    DIFFERENCE,
    ZERO_SHOT,
    Measure("retrieval", "clip_score", "retrieval", "CLIP-Score (retrieval)", "CLIP-Score",
            main=True),
    Measure("retrieval_ref", "clip_score", "retrieval_ref", "RefCLIPScore (retrieval)",
            "CLIP-Score"),
    Measure("edit", "clip_score", "edit", "CLIP-Score (edit)", "CLIP-Score of edits", main=True),
    Measure("edit_unclip", "clip_score", "edit_unclip", "CLIP-Score (edit by unCLIP)",
            "CLIP-Score of edits"),
    Measure("comparative", "comparative_prompting", "acc1", "Comparative prompting acc1",
            "Comparative prompting", main=True, independent=True),
    Measure("comparative_gain", "comparative_prompting", "gain", "Gain over plain prompts",
            "Comparative prompting"),
    Measure("direction", "geometry", "direction", "Direction of class texts", "Geometry"),
    Measure("analogy", "geometry", "analogy", "Analogy of class texts", "Geometry"),
    Measure("probe", "linear_probe", "acc1", "Linear probe acc1", "Linear probe"),
)  # fmt: skip


def reported_splits(evaluate: Evaluate) -> list[str]:
    """Return the splits that tables show: all but those that choices are made on."""
    chosen_on = {evaluate.validation}
    chosen_on |= {evaluate.for_split(split).validation for split in evaluate.splits}
    return [split for split in evaluate.splits if split not in chosen_on] or evaluate.splits


def splits_with(evaluate: Evaluate, *tasks: str) -> list[str]:
    """Return the reported splits on which all of these tasks are measured."""
    reported = reported_splits(evaluate)
    return [split for split in reported if set(tasks) <= set(evaluate.for_split(split).tasks)]


def row_kind(llm: str) -> str:
    """Return ``pretrained``, ``control`` or ``cell`` for the ``llm`` of a row."""
    if llm == "pretrained":
        return "pretrained"
    control = llm == "captions" or llm.startswith(("rewritten-", "shuffled-"))
    return "control" if control else "cell"


def figure_names(evaluate: Evaluate) -> list[str]:
    """Return the figures that ``gather`` draws, by the tasks of the reported splits."""
    difference = bool(splits_with(evaluate, "difference_classification"))
    zero_shot = bool(splits_with(evaluate, "zero_shot"))
    wanted = {
        "heatmap_difference": difference,
        "heatmap_zero_shot": zero_shot,
        "gain": difference,
        "tradeoff": bool(splits_with(evaluate, "difference_classification", "zero_shot")),
        "training_curves": True,
        "llm_quality": True,
        "example_pairs": difference,
    }
    return [name for name, is_wanted in wanted.items() if is_wanted]
