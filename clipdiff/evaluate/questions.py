"""What the evaluation asks LLMs: how classes differ and look, and how held-out pictures differ.

Which classes and pictures is chosen here, once for all LLMs, from data and settings and, for
comparative prompting, from what the CLIP confuses before finetuning.
"""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from clipdiff.settings import Evaluate
from clipdiff.config.stages import QuestionsSettings
from clipdiff.errors import ConfigError
from clipdiff.tasks.texts.attributes import class_key
from clipdiff.tasks.comparative_prompting import classes_to_tell_apart
from clipdiff.tasks.texts.difference_pairs import pairs_to_write_about
from clipdiff.tasks.geometry import classes_to_compare
from clipdiff.evaluate.inputs import read_inputs
from clipdiff.tasks.base import Validation, chosen_on
from clipdiff.tasks.measuring.splits import Split
from clipdiff.files import write_parquet
from clipdiff.grid import LLM_TEXTS, TEXT_TABLES
from clipdiff.towers.encode import TextEncoder
from clipdiff.towers.load import load_clip

log = logging.getLogger(__name__)

COLUMNS = ["task", "class_1", "class_2", "image_id_1", "image_id_2"]
COLUMNS += ["caption_1", "caption_2"]
TYPES = {name: "Int64" if name.startswith("image") else "string" for name in COLUMNS}
PAIR_TASKS = TEXT_TABLES["pair_differences"]
CAPTION = "a photo of a {}"  # what an LLM is shown of a class, whatever the class prompts
Row = dict[str, str | int]


def write_questions(
    settings: QuestionsSettings, captions: Path, embeds: Path, output: Path
) -> None:
    """Write ``data/questions.parquet``, one row a question; none about the same classes twice.

    Args:
        settings: the CLIP to finetune, tasks and splits.
        captions: ``data/captions.parquet``.
        embeds: ``embeds/image_embeds.safetensors`` of that CLIP.
        output: the file to write.

    Raises:
        DataError, ModelError, ConfigError: an input is missing or does not fit.
    """
    clip = load_clip(settings.clip)
    inputs = read_inputs(captions, embeds, settings.evaluate.splits, clip)
    validations = inputs.validations(TextEncoder(clip))
    rows: list[Row] = []
    for split in inputs.splits:
        own = settings.evaluate.for_split(split.name)
        rows += _about_classes(split, own, validations)
        if own.pair_differences == LLM_TEXTS and not PAIR_TASKS.isdisjoint(own.tasks):
            rows += _about_pairs(split, own)
    table = _without_repeats(pd.DataFrame(rows, columns=COLUMNS).astype(TYPES))
    if table.empty:
        raise ConfigError(
            "evaluate: texts of LLMs are wanted (`llm`), but no task of "
            f"{', '.join(settings.evaluate.splits)} has a use for any; drop `llm`, or add "
            "difference_classification, comparative_prompting or geometry to a split's tasks"
        )
    table.insert(0, "question_id", range(len(table)))
    write_parquet(output, table)
    log.info("%d questions", len(table))


def _about_classes(
    split: Split, settings: Evaluate, validations: dict[str, Validation]
) -> Iterator[Row]:
    compare, moved = "geometry" in settings.tasks, "comparative_prompting" in settings.tasks
    if settings.class_differences == LLM_TEXTS and moved:
        validation = chosen_on("comparative_prompting", split, settings, validations)
        yield from _differences(classes_to_tell_apart(validation, settings), split)
    if settings.class_differences == LLM_TEXTS and compare:
        pairs = classes_to_compare(split, settings)
        yield from _differences([*pairs, *pairs[:, ::-1]], split)
    if settings.class_descriptions == LLM_TEXTS and moved:
        for name in split.class_names:
            yield {"task": "describe", "class_1": name, "caption_1": name}


def _differences(pairs: Iterable[Iterable[int]], split: Split) -> Iterator[Row]:
    for pair in pairs:
        first, second = (split.class_names[place] for place in pair)
        classes: Row = {"class_1": first, "class_2": second}
        asked: Row = {"caption_1": CAPTION.format(first), "caption_2": CAPTION.format(second)}
        yield {"task": "difference"} | classes | asked


def _about_pairs(split: Split, settings: Evaluate) -> Iterator[Row]:
    for pair in pairs_to_write_about(split, settings):
        for first, second in (pair, pair[::-1]):
            pictures: Row = {
                "image_id_1": int(split.image_ids[first]),
                "image_id_2": int(split.image_ids[second]),
            }
            asked: Row = {
                "caption_1": split.captions[first],
                "caption_2": split.captions[second],
            }
            yield {"task": "difference"} | pictures | asked


def _without_repeats(table: pd.DataFrame) -> pd.DataFrame:
    """Ask about two classes once, whatever the splits and tasks that want them."""
    keys = table[["class_1", "class_2"]].map(class_key, na_action="ignore")
    repeats = table.assign(**keys).duplicated(COLUMNS[:5])
    return table[~repeats].reset_index(drop=True)
