"""What the evaluation asks of an LLM, about classes and held-out pairs: answered, then filtered.

Questions are those of ``data/questions.parquet``; the answers go to the evaluation in the same
three tables that a user's own texts come in.
"""

import hashlib
import logging
from pathlib import Path

import pandas as pd

from clipdiff.config.stages import FilterSettings, GenerateSettings
from clipdiff.errors import ConfigError, DataError
from clipdiff.files import read_parquet, write_parquet
from clipdiff.llm.answer_store import AnswerStore, Question, cut_into_shards
from clipdiff.llm.ask import Asking
from clipdiff.llm.generate import identity, prompt_of
from clipdiff.llm.text_context import TextContext
from clipdiff.llm.text_filter import TextFilter
from clipdiff.writers.base import row_seed

log = logging.getLogger(__name__)

QUESTIONS = ["question_id", "task", "class_1", "class_2", "image_id_1", "image_id_2"]
QUESTIONS += ["caption_1", "caption_2"]


def answer_questions(settings: GenerateSettings, questions: Path, output: Path) -> None:
    """Write ``generations/questions/{llm}.parquet``: one raw answer a question.

    Questions of a task that the LLM's prompt has no template for stay unanswered. Answers of
    earlier runs are taken over, as in :func:`clipdiff.llm.generate.generate`.

    Raises:
        ConfigError: the entry answers no questions.
        DataError: the questions are missing, truncated or lack a column.
        ModelError: the model can't be loaded.
        GenerationError: its server can't answer, or the budget is spent; answers are kept.
    """
    entry = settings.definition
    if not entry.is_asked:
        raise ConfigError(
            f"evaluate.writer: '{settings.llm}' is of kind '{entry.kind}' and answers no "
            "questions; name an entry of another kind"
        )
    table, prompt = read_parquet(questions, QUESTIONS), prompt_of(settings)
    unable = [task for task in table["task"].unique() if getattr(prompt, task) is None]
    if unable:
        log.warning("prompt %s has no template for %s: not asked", prompt.version, unable)
    table = table[~table["task"].isin(unable)]
    asked = _questions(table, settings.generate.seed)
    store = AnswerStore(output.parent / ".answers" / output.stem, identity(settings, prompt))
    shards = cut_into_shards(asked, settings.generate.shard_rows)
    answers = Asking(settings, prompt, shards, store).answers()
    answers = answers.rename(columns={"row_id": "question_id"}).assign(
        llm=settings.llm,
        model=entry.model,
        prompt_version=prompt.version,
        seed=settings.generate.seed,
    )
    write_parquet(output, answers)


def filter_answers(settings: FilterSettings, questions: Path, answers: Path, folder: Path) -> None:
    """Write an LLM's ``evaluation_texts/{llm}/*.parquet``, one row a question.

    ``kept`` says whether the filter kept the text, ``drop_reason`` why not.

    Raises:
        DataError: an input is missing, truncated, lacks a column, or does not fit the other.
        ModelError: the CLIP, whose text context limits the texts, is not there.
    """
    raw = read_parquet(answers, ("question_id", "text", "finish_reason"))
    rows = raw.merge(read_parquet(questions, QUESTIONS), on="question_id", how="left")
    if rows["task"].isna().any():
        raise DataError(f"{answers}: answers none of this run's questions; delete it and run again")
    context = TextContext(settings.clip)
    tables = [
        _screen(settings, context, rows[rows["task"] == task].copy(), compares=compares)
        for task, compares in (("difference", True), ("describe", False))
    ]
    differences, descriptions = tables
    of_classes = differences["class_1"].notna()
    pairs = differences[~of_classes].astype({"image_id_1": "int64", "image_id_2": "int64"})
    outcome = ["difference", "kept", "drop_reason"]
    write_parquet(
        folder / "class_differences.parquet",
        differences.loc[of_classes, ["class_1", "class_2", *outcome]],
    )
    write_parquet(
        folder / "pair_differences.parquet", pairs[["image_id_1", "image_id_2", *outcome]]
    )
    # a description alone need not say of what it is one
    text = "This is a photo of a " + descriptions["class_1"] + ". " + descriptions["difference"]
    whole = descriptions.rename(columns={"class_1": "class"}).assign(description=text)
    write_parquet(
        folder / "class_descriptions.parquet",
        whole[["class", "description", "kept", "drop_reason"]],
    )
    kept = sum(int(table["kept"].sum()) for table in tables)
    log.info("%s: %d of %d texts kept", settings.llm, kept, len(rows))


def _screen(
    settings: FilterSettings, context: TextContext, rows: pd.DataFrame, compares: bool
) -> pd.DataFrame:
    """Add ``difference`` (the text after cleaning), ``kept`` and ``drop_reason``."""
    sides = ["caption_1", "caption_2"] if compares else ["caption_1"]
    text_filter = TextFilter(settings.filter, context, rows["caption_1"], compares)
    screenings = [
        text_filter.screen(text, reason, beside)
        for text, reason, *beside in zip(
            rows["text"], rows["finish_reason"], *(rows[side] for side in sides), strict=True
        )
    ]
    return rows.assign(
        difference=pd.array([each.text for each in screenings], dtype="string"),
        kept=pd.array([each.drop_reason is None for each in screenings], dtype=bool),
        drop_reason=pd.array([each.drop_reason for each in screenings], dtype="string"),
    )


def _questions(table: pd.DataFrame, seed: int) -> list[Question]:
    return [
        Question(int(number), task, (first,) if pd.isna(second) else (first, second), own)
        for number, task, first, second, own in zip(
            table["question_id"],
            table["task"],
            table["caption_1"],
            table["caption_2"],
            _seeds(table, seed),
            strict=True,
        )
    ]


def _seeds(table: pd.DataFrame, seed: int) -> list[int]:
    """Return a seed a question, of its text alone: other questions beside it change nothing."""
    texts = table["caption_1"].str.cat(table["caption_2"].fillna(""), sep="\n")
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    return [row_seed(seed, int.from_bytes(digest[:8], "big")) for digest in digests]
