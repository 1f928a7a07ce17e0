"""The generate stage: one LLM writes how the images of each pair differ, from their captions."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clipdiff import prompts
from clipdiff.config.parts import record_parts
from clipdiff.config.stages import GenerateSettings
from clipdiff.errors import ConfigError
from clipdiff.files import read_parquet, write_json, write_parquet
from clipdiff.llm.answer_store import AnswerStore, Question, cut_into_shards
from clipdiff.llm.ask import Asking
from clipdiff.prompts import Prompt
from clipdiff.provenance import provenance
from clipdiff.writers.base import row_seed

PAIR_COLUMNS = ("pair_id", "caption_1", "caption_2")
# result settings of the section that don't change what an LLM says to one question: its seed is
# in the seed of each question, and swapped says how many questions there are
OF_THE_STAGE = {"seed", "swapped"}


@dataclass(frozen=True)
class Part:
    """One job's share of the questions: shard ``number`` - 1 of every ``of``."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Read ``3of8``.

        Raises:
            ConfigError: it is no such share.
        """
        number, _, of = text.partition("of")
        if not (number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of)):
            raise ConfigError(f"--part: got '{text}', expected a share such as 3of8")
        return cls(int(number), int(of))

    def __str__(self) -> str:
        return f"{self.number}of{self.of}"


WHOLE = Part(1, 1)


def generate(settings: GenerateSettings, captions: Path, pairs: Path, output: Path) -> None:
    """Write ``generations/{llm}.parquet``, and ``generations/swaps/{llm}.parquet``.

    Answers of earlier runs and of other jobs are taken over where they answer the same questions
    of the same model; see :mod:`clipdiff.llm.answer_store`.

    Args:
        settings: one LLM's entry, the task, and how to ask.
        captions: ``data/captions.parquet``; asked about for task ``rewrite`` (train split).
        pairs: ``data/pairs.parquet``; asked about for task ``difference``.
        output: the file to write.

    Raises:
        ConfigError: the prompt is missing or has no such task.
        DataError: an input is missing, truncated or lacks a column.
        ModelError: the model can't be loaded.
        GenerationError: its server can't answer, or the budget is spent; answers are kept.
    """
    if settings.definition.is_asked:
        prompt = prompt_of(settings)
        shards = cut(settings, plan(settings, prompt, captions, pairs))
        store = _store(settings, prompt, output, WHOLE)
        answers = Asking(settings, prompt, shards, store).answers()
        answers["prompt_version"] = prompt.version
    else:
        answers = _own_answers(settings, pairs)
    answers = answers.rename(columns={"row_id": "pair_id"})
    answers["llm"] = settings.llm
    answers["model"] = settings.definition.model
    answers["seed"] = settings.generate.seed
    columns = ["pair_id", "text", "llm", "model", "prompt_version", "seed", "finish_reason"]
    swapped = answers["pair_id"] < 0
    swaps = answers.loc[swapped, ["pair_id", "text"]].assign(pair_id=lambda it: -1 - it["pair_id"])
    write_parquet(output.parent / "swaps" / output.name, swaps)
    write_parquet(output, answers.loc[~swapped, [*columns, "prompt_tokens", "completion_tokens"]])
    record_parts(settings, _answers_folder(output) / "parts.json")


def generate_part(
    settings: GenerateSettings, captions: Path, pairs: Path, output: Path, part: Part
) -> None:
    """Answer one job's share of the questions, for :func:`generate` to take over.

    Writes ``generations/{llm}.parts/{part}.json``: rows, tokens, seconds, provenance. Arguments and
    errors are those of :func:`generate`.
    """
    prompt = prompt_of(settings)
    share = cut(settings, plan(settings, prompt, captions, pairs))[part.number - 1 :: part.of]
    began = time.monotonic()
    answers = Asking(settings, prompt, share, _store(settings, prompt, output, part)).answers()
    facts = {
        "rows": len(answers),
        "tokens": int(answers[["prompt_tokens", "completion_tokens"]].to_numpy().sum()),
        "seconds": time.monotonic() - began,
        "provenance": provenance(settings),
    }
    write_json(output.with_suffix(".parts") / f"{part}.json", facts)


def prompt_of(settings: GenerateSettings) -> Prompt:
    """Return the prompt of the LLM.

    Raises:
        ConfigError: there is none of that name, or the LLM is not asked.
    """
    name = settings.definition.prompt_name
    if name is None:
        kind = settings.definition.kind
        raise ConfigError(f"{settings.llm}: an entry of kind '{kind}' is not asked")
    return prompts.load(name)


def plan(settings: GenerateSettings, prompt: Prompt, captions: Path, pairs: Path) -> list[Question]:
    """Return every question, in the order of the output.

    Raises:
        ConfigError: the prompt has no such task.
        DataError: an input is missing, truncated or lacks a column.
    """
    seed = settings.generate.seed
    if settings.task == "rewrite":
        table = read_parquet(captions, ("image_id", "caption", "split"), optional=())
        table = table[table["split"] == "train"]
        rows = zip(table["image_id"], table["caption"], strict=True)
    else:
        table = read_parquet(pairs, PAIR_COLUMNS)
        rows = zip(*(table[name] for name in PAIR_COLUMNS), strict=True)
    prompt.question(settings.task, "", "")  # fails before a model is loaded
    return [
        Question(int(row_id), settings.task, tuple(texts), row_seed(seed, int(row_id)))
        for row_id, *texts in rows
    ]


def cut(settings: GenerateSettings, questions: Sequence[Question]) -> list[Sequence[Question]]:
    """Return the questions in shards, those about pairs in the other order at the end.

    These have row ids below 0: -1 - the pair's.
    """
    turned = [
        Question(-1 - each.row_id, each.task, each.captions[::-1], each.seed)
        for each in questions[: settings.generate.swapped if settings.task == "difference" else 0]
    ]
    rows = settings.generate.shard_rows
    return [*cut_into_shards(questions, rows), *cut_into_shards(turned, rows)]


def identity(settings: GenerateSettings, prompt: Prompt) -> str:
    """Return what, beside a question and its seed, determines an answer, as JSON."""
    sampling = settings.generate.result()
    facts = {
        "version": settings.version,
        "writer": settings.definition.identity(),
        "sampling": {name: sampling[name] for name in sampling if name not in OF_THE_STAGE},
        "prompt": prompt.model_dump(mode="json"),
    }
    return json.dumps(facts, sort_keys=True)


def _store(settings: GenerateSettings, prompt: Prompt, output: Path, part: Part) -> AnswerStore:
    return AnswerStore(_answers_folder(output), identity(settings, prompt), f"journal-{part}")


def _answers_folder(output: Path) -> Path:
    return output.parent / ".answers" / output.stem


def _own_answers(settings: GenerateSettings, pairs: Path) -> pd.DataFrame:
    """Take the texts that an entry brings for answers."""
    entry = settings.definition
    if settings.task != "difference":
        raise ConfigError(
            f"controls.llm: '{settings.llm}' is of kind '{entry.kind}' and can't reword captions; "
            "name an entry of another kind"
        )
    table = read_parquet(pairs, (*PAIR_COLUMNS, "image_id_1", "image_id_2"))
    return entry.own_answers(table).assign(
        prompt_version=entry.kind,
        finish_reason="stop",
        prompt_tokens=0,
        completion_tokens=0,
    )
