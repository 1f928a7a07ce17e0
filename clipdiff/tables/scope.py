"""What is compared: the measures of the tasks of a run, on the splits that are reported."""

from collections.abc import Iterable

from clipdiff.config.stages import GatherSettings
from clipdiff.settings import Evaluate
from clipdiff.tasks.base import Measure
from clipdiff.tasks.difference_classification import DifferenceClassification
from clipdiff.tasks.zero_shot import ZeroShot

FINETUNED = "finetuned"
(DIFFERENCE,) = DifferenceClassification.measures
"""The best arm is chosen by it, and controls are compared in it."""
(ZERO_SHOT,) = ZeroShot.measures
"""The cost elsewhere is told in it."""


def measures_of(settings: GatherSettings) -> list[Measure]:
    """Return the measures of all tasks, each once, in the order in which tasks are named."""
    tasks = settings.tasks.values()
    return list(dict.fromkeys(measure for task in tasks for measure in task.measures))


def families(measures: Iterable[Measure]) -> dict[str, list[Measure]]:
    """Return the measures that stand in a table together, by what heads it."""
    groups: dict[str, list[Measure]] = {}
    for measure in measures:
        groups.setdefault(measure.family, []).append(measure)
    return groups


def reported_splits(evaluate: Evaluate) -> list[str]:
    """Return the splits that tables have: all but those that choices are made on."""
    hidden = {evaluate.validation}
    hidden |= {evaluate.for_split(split).validation for split in evaluate.splits}
    return [split for split in evaluate.splits if split not in hidden] or evaluate.splits


def splits_with(settings: GatherSettings, *measures: Measure) -> list[str]:
    """Return the reported splits that have tasks with all of these measures."""
    splits = []
    for split in reported_splits(settings.evaluate):
        tasks = [settings.tasks[name] for name in settings.evaluate.for_split(split).tasks]
        if set(measures) <= {measure for task in tasks for measure in task.measures}:
            splits.append(split)
    return splits
