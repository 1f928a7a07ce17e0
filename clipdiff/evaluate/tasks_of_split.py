"""The tasks of each split: the section as it holds there, and the entries put to work."""

import logging
from collections.abc import Mapping

from clipdiff.config.stages import EvaluateSettings
from clipdiff.config.text_tables import text_table_paths
from clipdiff.errors import ConfigError
from clipdiff.evaluate.inputs import Inputs
from clipdiff.grid import Layout
from clipdiff.settings import Evaluate
from clipdiff.tasks.base import Task, TaskEntry, Validation
from clipdiff.tasks.measuring.splits import Split
from clipdiff.towers.encode import TextEncoder

log = logging.getLogger(__name__)


def make_tasks(
    settings: EvaluateSettings, inputs: Inputs, encode: TextEncoder, layout: Layout
) -> list[tuple[Split, Task]]:
    """Make the tasks of each split, while the CLIP holds its pretrained weights.

    Raises:
        ConfigError: there is no task, or one lacks what it needs.
        DataError: a split or a table of texts lacks what a task needs.
    """
    for name in settings.evaluate.per_split.keys() - {split.name for split in inputs.splits}:
        log.warning("evaluate.per_split.%s: no effect, as evaluate.splits does not name it", name)
    validations = inputs.validations(encode)
    tasks = []
    for split in inputs.splits:
        section = section_of(settings, split.name, layout)
        for name in section.tasks:
            entry = settings.tasks[name]
            validation = validation_of(name, entry, split, section, validations)
            tasks.append((split, entry.on(split, section, validation)))
    if not tasks:
        raise ConfigError(
            f"evaluate.tasks: got {settings.evaluate.tasks}, which leave nothing to measure in "
            f"this cell on {', '.join(settings.evaluate.splits)}; add a task or a split"
        )
    return tasks


def section_of(settings: EvaluateSettings, split: str, layout: Layout) -> Evaluate:
    """Return the section as it holds for one split of this cell, its tables of texts as paths."""
    section = settings.evaluate.for_split(split)
    names, frozen = section.tasks, not (settings.cell.is_pretrained or settings.image_tower_trained)
    if frozen:
        names = [name for name in names if not settings.tasks[name].needs_trained_images]
    for name in set(section.tasks) - set(names):
        log.info("%s: no %s, as the image tower was not trained", split, name)
    writers = (settings.text_llm, settings.writer)
    tables = text_table_paths(section, settings.tasks, *writers, layout)
    paths = {table: str(path) for table, path in tables.items()}
    return section.model_copy(update={"tasks": names, **paths})


def validation_of(
    name: str,
    entry: TaskEntry,
    split: Split,
    section: Evaluate,
    validations: Mapping[str, Validation],
) -> Validation | None:
    """Return the split on which a task makes its choices for another; None if it makes none.

    Args:
        name, entry: the task.
        split: the other.
        section: as it holds for that.
        validations: all evaluated splits, by name.

    Raises:
        ConfigError: it is not evaluated, or has other classes.
    """
    if not entry.chooses:
        return None
    validation = validations.get(section.validation)
    if validation is None or validation.split.class_names != split.class_names:
        raise ConfigError(
            f"evaluate.validation: got '{section.validation}' for {split.where}, expected one of "
            f"evaluate.splits with the same classes, for {name} to choose on; name it there or in "
            f"evaluate.per_split, or leave {name} out"
        )
    return validation
