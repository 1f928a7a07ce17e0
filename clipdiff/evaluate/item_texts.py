"""By which text each item was scored: worked out from settings and data, without a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from clipdiff.config.stages import EvaluateSettings
from clipdiff.errors import ClipdiffError
from clipdiff.evaluate.tasks_of_split import section_of
from clipdiff.grid import Layout
from clipdiff.tasks.base import TASKS, ItemText, TaskEntry
from clipdiff.tasks.measuring.splits import make_splits, read_captions


@dataclass(frozen=True)
class ItemTexts:
    """The texts of a metric's items, by item id.

    ``reason`` says why an item has none; ``of_classes``, that items rest on classes, whose ids
    stand in the items' image columns.
    """

    reason: str
    of_classes: bool
    texts: Mapping[int, ItemText] = field(default_factory=dict)


def item_texts(
    values: Mapping[str, Any], layout: Layout, split: str, task: str, metric: str
) -> ItemTexts:
    """Return the texts of a metric's items, or why they are not known.

    Args:
        values: settings of the evaluation, as its provenance has them.
        layout: where its data and the texts of its LLMs lie.
        split, task, metric: as in the metrics file.
    """
    try:
        settings = EvaluateSettings.model_validate(values)
    except ValidationError as error:
        kinds = map(TASKS.of, TASKS.kinds)
        of_classes = any(kind.is_of(task) and kind.items_are_classes for kind in kinds)
        faults = f"{error.error_count()} faults"
        return ItemTexts(f"settings of another version ({faults})", of_classes)
    entry = _entry_of(settings, split, task)
    if entry is None:
        return ItemTexts(f"its settings have no task '{task}' on {split}", False)
    if entry.chooses:
        return ItemTexts(entry.without_text, entry.items_are_classes)
    try:
        (images,) = make_splits(read_captions(layout.captions), [split], layout.captions)
        texts = entry.on(images, section_of(settings, split, layout)).item_texts(task, metric)
    except ClipdiffError as error:
        return ItemTexts(str(error), entry.items_are_classes)
    return ItemTexts(entry.without_text, entry.items_are_classes, texts)


def _entry_of(settings: EvaluateSettings, split: str, task: str) -> TaskEntry | None:
    names = settings.evaluate.for_split(split).tasks
    entries = (settings.tasks[name] for name in names)
    return next((entry for entry in entries if entry.is_of(task)), None)
