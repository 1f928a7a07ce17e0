"""The generate stage: one LLM writes how the pictures of each pair differ, from their captions."""

import json
import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clipdiff.config.stages import GenerateSettings
from clipdiff.errors import ConfigError
from clipdiff.files import read_parquet, write_json, write_parquet
from clipdiff.llm import prompts
from clipdiff.llm.answers import AnswerStore, Question, cut_into_shards
from clipdiff.llm.base import row_seed
from clipdiff.llm.budget import Budget
from clipdiff.llm.file import read_differences
from clipdiff.llm.folders import weights_fingerprint
from clipdiff.llm.progress import Meter
from clipdiff.llm.registry import open_writer
from clipdiff.provenance import provenance

log = logging.getLogger(__name__)

PAIR_COLUMNS = ("pair_id", "caption_1", "caption_2")
# settings that don't change what an LLM says
OF_THE_ENTRY = {"batch", "key_env", "key_file", "price"}
OF_THE_ENTRY |= {"requests_per_minute", "tokens_per_minute"}
OF_THE_STAGE = {"shard_rows", "seed", "jobs", "max_cost", "max_tokens_total"}


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
    """Write ``generations/{llm}.parquet``.

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
        questions = plan(settings, captions, pairs)
        answers = _ask(settings, questions, _store(settings, output, WHOLE))
        answers.insert(0, "pair_id", [question.row_id for question in questions])
        answers["prompt_version"] = prompts.load(settings.definition.prompt).version
    answers["llm"] = settings.llm
    answers["model"] = settings.definition.model
    answers["seed"] = settings.generate.seed
    columns = ["pair_id", "text", "llm", "model", "prompt_version", "seed", "finish_reason"]
    write_parquet(output, answers[[*columns, "prompt_tokens", "completion_tokens"]])


def generate_part(
    settings: GenerateSettings, captions: Path, pairs: Path, output: Path, part: Part
) -> None:
    """Answer one job's share of the questions, for :func:`generate` to take over.

    Writes ``generations/{llm}.parts/{part}.json``: rows, tokens, seconds, provenance. Arguments and
    errors are those of :func:`generate`.
    """
    shards = cut_into_shards(plan(settings, captions, pairs), settings.generate.shard_rows)
    share = [question for shard in shards[part.number - 1 :: part.of] for question in shard]
    began = time.monotonic()
    answers = _ask(settings, share, _store(settings, output, part))
    facts = {
        "rows": len(share),
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
        table = read_parquet(captions, ("image_id", "caption", "split"))
        table = table[table["split"] == "train"]
        rows = zip(table["image_id"], table["caption"], strict=True)
    else:
        table = read_parquet(pairs, PAIR_COLUMNS)
        rows = zip(*(table[name] for name in PAIR_COLUMNS), strict=True)
    prompt.question(settings.task, "", "")  # fails before a model is loaded
    return [
        Question(int(row_id), tuple(texts), row_seed(seed, int(row_id))) for row_id, *texts in rows
    ]


def identity(settings: GenerateSettings) -> str:
    """Return what, beside a question and its seed, determines an answer, as JSON."""
    definition = settings.definition
    facts = {
        "version": settings.version,
        "task": settings.task,
        "definition": definition.model_dump(mode="json", exclude=OF_THE_ENTRY),
        "sampling": settings.generate.model_dump(mode="json", exclude=OF_THE_STAGE),
        "prompt": prompts.load(definition.prompt).model_dump(mode="json"),
        "weights": weights_fingerprint(definition.model),
    }
    return json.dumps(facts, sort_keys=True)


def _store(settings: GenerateSettings, output: Path, part: Part) -> AnswerStore:
    folder = output.parent / ".answers" / output.stem
    return AnswerStore(folder, identity(settings), f"journal-{part}")


def _ask(
    settings: GenerateSettings, questions: Sequence[Question], store: AnswerStore
) -> pd.DataFrame:
    """Return the answers, one row a question; a writer is opened only if one is missing."""
    keys = [store.key(question) for question in questions]
    known = store.load()
    kept = known[known.index.isin(keys)]
    budget = Budget(settings.llm, settings.definition, settings.generate)
    budget.spend(int(kept["prompt_tokens"].sum()), int(kept["completion_tokens"].sum()))
    there = set(kept.index)
    if there:
        log.info("%s: %d of %d rows were there already", settings.llm, len(there), len(keys))
    if len(there) < len(set(keys)):
        with Meter(settings.llm, len(keys), sum(key in there for key in keys)) as meter:
            _fill(settings, questions, keys, there, store, budget, meter)
        known = store.load()
    return known.loc[keys].reset_index(drop=True)


def _fill(
    settings: GenerateSettings,
    questions: Sequence[Question],
    keys: Sequence[str],
    there: set[str],
    store: AnswerStore,
    budget: Budget,
    meter: Meter,
) -> None:
    """Ask what is missing, shard by shard, and keep each answer the moment it comes."""
    prompt = prompts.load(settings.definition.prompt)
    size = settings.generate.shard_rows
    with closing(open_writer(settings.definition, settings.generate, prompt)) as writer:
        for start in range(0, len(keys), size):
            shard, its_keys = questions[start : start + size], keys[start : start + size]
            done = {place for place, key in enumerate(its_keys) if key in there}
            if len(done) == len(shard):
                continue
            if budget.is_spent:
                raise budget.stop(sum(key not in there for key in keys))
            turns = [prompt.turns(settings.task, *question.captions) for question in shard]
            with store.journaling() as journal:
                for place, answer in writer.write(turns, [q.seed for q in shard], done):
                    if its_keys[place] in there:
                        continue
                    journal.add(its_keys[place], answer)
                    there.add(its_keys[place])
                    budget.spend(answer.prompt_tokens, answer.completion_tokens)
                    meter.add(1, answer.completion_tokens)
                    if budget.is_spent:
                        writer.cancel()
    if any(key not in there for key in keys):
        raise budget.stop(sum(key not in there for key in keys))


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
