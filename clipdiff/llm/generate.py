"""The generate stage: one LLM writes how the pictures of each pair differ, from their captions."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clipdiff.config.stages import GenerateSettings
from clipdiff.errors import ConfigError
from clipdiff.files import read_parquet, write_json, write_parquet
from clipdiff import prompts
from clipdiff.llm.answers import AnswerStore, Question, cut_into_shards
from clipdiff.llm.ask import Asking
from clipdiff.writers.base import row_seed
from clipdiff.writers.file import read_differences
from clipdiff.writers.local.folders import weights_fingerprint
from clipdiff.provenance import provenance

PAIR_COLUMNS = ("pair_id", "caption_1", "caption_2")
# settings that don't change what an LLM says
OF_THE_ENTRY = {"batch", "key_env", "key_file", "price"}
OF_THE_ENTRY |= {"requests_per_minute", "tokens_per_minute"}
OF_THE_STAGE = {"shard_rows", "seed", "swapped", "jobs", "max_cost", "max_tokens_total"}


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
    of the same model; see :mod:`clipdiff.llm.answers`.

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
    if settings.definition.kind == "file":
        answers = _read_file(settings, pairs)
    else:
        shards = cut(settings, plan(settings, captions, pairs))
        answers = Asking(settings, shards, _store(settings, output, WHOLE)).answers()
        answers["prompt_version"] = prompts.load(settings.definition.prompt).version
    answers = answers.rename(columns={"row_id": "pair_id"})
    answers["llm"] = settings.llm
    answers["model"] = settings.definition.model
    answers["seed"] = settings.generate.seed
    columns = ["pair_id", "text", "llm", "model", "prompt_version", "seed", "finish_reason"]
    swapped = answers["pair_id"] < 0
    swaps = answers.loc[swapped, ["pair_id", "text"]].assign(pair_id=lambda it: -1 - it["pair_id"])
    write_parquet(output.parent / "swaps" / output.name, swaps)
    write_parquet(output, answers.loc[~swapped, [*columns, "prompt_tokens", "completion_tokens"]])


def generate_part(
    settings: GenerateSettings, captions: Path, pairs: Path, output: Path, part: Part
) -> None:
    """Answer one job's share of the questions, for :func:`generate` to take over.

    Writes ``generations/{llm}.parts/{part}.json``: rows, tokens, seconds, provenance. Arguments and
    errors are those of :func:`generate`.
    """
    share = cut(settings, plan(settings, captions, pairs))[part.number - 1 :: part.of]
    began = time.monotonic()
    answers = Asking(settings, share, _store(settings, output, part)).answers()
    facts = {
        "rows": len(answers),
        "tokens": int(answers[["prompt_tokens", "completion_tokens"]].to_numpy().sum()),
        "seconds": time.monotonic() - began,
        "provenance": provenance(settings),
    }
    write_json(output.with_suffix(".parts") / f"{part}.json", facts)


def plan(settings: GenerateSettings, captions: Path, pairs: Path) -> list[Question]:
    """Return every question, in the order of the output.

    Raises:
        ConfigError: the prompt is missing or has no such task.
        DataError: an input is missing, truncated or lacks a column.
    """
    prompt, seed = prompts.load(settings.definition.prompt), settings.generate.seed
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


def identity(settings: GenerateSettings) -> str:
    """Return what, beside a question and its seed, determines an answer, as JSON."""
    definition = settings.definition
    facts = {
        "version": settings.version,
        "definition": definition.model_dump(mode="json", exclude=OF_THE_ENTRY),
        "sampling": settings.generate.model_dump(mode="json", exclude=OF_THE_STAGE),
        "prompt": prompts.load(definition.prompt).model_dump(mode="json"),
        "weights": weights_fingerprint(definition.model),
    }
    return json.dumps(facts, sort_keys=True)


def _store(settings: GenerateSettings, output: Path, part: Part) -> AnswerStore:
    folder = output.parent / ".answers" / output.stem
    return AnswerStore(folder, identity(settings), f"journal-{part}")


def _read_file(settings: GenerateSettings, pairs: Path) -> pd.DataFrame:
    """Take the user's own differences for answers."""
    if settings.task != "difference":
        raise ConfigError(
            f"controls.llm: '{settings.definition.model}' is a file of differences and can't "
            "reword captions; name an entry of another kind"
        )
    table = read_parquet(pairs, (*PAIR_COLUMNS, "image_id_1", "image_id_2"))
    answers = read_differences(Path(settings.definition.model), table)
    return answers.assign(
        prompt_version="file", finish_reason="stop", prompt_tokens=0, completion_tokens=0
    )
