"""What the evaluation asks LLMs: how classes differ and look, and how held-out images differ.

Tasks say which classes and images, here, once for all LLMs: from data and settings and, where a
task chooses, from what the CLIP makes of the validation split before finetuning.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from clipdiff.config.stages import QuestionsSettings
from clipdiff.errors import ConfigError
from clipdiff.evaluate.inputs import read_inputs
from clipdiff.evaluate.tasks_of_split import validation_of
from clipdiff.files import write_parquet
from clipdiff.grid.layout import TEXT_TABLES
from clipdiff.tasks.base import TASKS, Validation
from clipdiff.tasks.measuring.splits import Split
from clipdiff.tasks.texts.attributes import class_key
from clipdiff.tasks.texts.evaluation_questions import EvaluationQuestion
from clipdiff.towers.encode import TextEncoder
from clipdiff.towers.load import load_clip

log = logging.getLogger(__name__)

ABOUT = ["task", "class_1", "class_2", "image_id_1", "image_id_2"]
COLUMNS = [*ABOUT, "caption_1", "caption_2"]
TYPES = {name: "Int64" if name.startswith("image") else "string" for name in COLUMNS}


def write_questions(
    settings: QuestionsSettings, captions: Path, embeds: Path, output: Path
) -> None:
    """Write ``data/questions.parquet``, one row a question; none about the same classes twice.

    Args:
        settings: the CLIP to finetune, splits, and the tasks that read LLMs' texts.
        captions: ``data/captions.parquet``.
        embeds: ``embeds/image_embeds.safetensors`` of that CLIP.
        output: the file to write.

    Raises:
        DataError, ModelError, ConfigError: an input is missing or does not fit.
    """
    clip = load_clip(settings.clip)
    inputs = read_inputs(captions, embeds, settings.evaluate.splits, clip)
    validations = inputs.validations(TextEncoder(clip))
    rows = [
        asdict(question)
        for split in inputs.splits
        for question in questions_of_split(split, settings, validations)
    ]
    table = _without_repeats(pd.DataFrame(rows, columns=COLUMNS).astype(TYPES))
    if table.empty:
        asking = [kind for kind in TASKS.kinds if TASKS.of(kind).text_tables]
        raise ConfigError(
            "evaluate: texts of LLMs are asked for (`llm`), but no task of "
            f"{', '.join(settings.evaluate.splits)} has a use for any; drop `llm`, or add one of "
            f"{', '.join(asking)} to a split's tasks"
        )
    table.insert(0, "question_id", range(len(table)))
    write_parquet(output, table)
    log.info("%d questions", len(table))


def questions_of_split(
    split: Split, settings: QuestionsSettings, validations: Mapping[str, Validation]
) -> list[EvaluationQuestion]:
    """Return what the tasks of a split ask, table by table and then kind by kind."""
    section = settings.evaluate.for_split(split.name)
    entries = [(name, settings.tasks[name]) for name in section.tasks if name in settings.tasks]
    questions = [
        question
        for name, entry in sorted(entries, key=lambda named: named[1].kind)
        for question in entry.questions(
            split, section, validation_of(name, entry, split, section, validations)
        )
    ]
    return sorted(questions, key=lambda question: TEXT_TABLES.index(question.table))


def _without_repeats(table: pd.DataFrame) -> pd.DataFrame:
    """Ask about two classes once, whatever the splits and tasks that read the answer."""
    keys = table[["class_1", "class_2"]].map(class_key, na_action="ignore")
    repeats = table.assign(**keys).duplicated(ABOUT)
    return table[~repeats].reset_index(drop=True)
