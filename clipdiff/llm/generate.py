"""The generate stage: one LLM writes how the pictures of each pair differ, from their captions."""

import json
import logging
from contextlib import closing
from pathlib import Path

import pandas as pd

from clipdiff.config.stages import GenerateSettings
from clipdiff.errors import ConfigError
from clipdiff.files import read_parquet, write_parquet
from clipdiff.llm import prompts
from clipdiff.llm.base import row_seed
from clipdiff.llm.file import read_differences
from clipdiff.llm.folders import weights_fingerprint
from clipdiff.llm.progress import Meter
from clipdiff.llm.registry import open_writer
from clipdiff.llm.shards import Question, ShardStore, cut_into_shards

log = logging.getLogger(__name__)

PAIR_COLUMNS = ("pair_id", "caption_1", "caption_2")
IRRELEVANT = {"batch", "key_env"}  # settings of an LLM that don't change what it says


def generate(settings: GenerateSettings, captions: Path, pairs: Path, output: Path) -> None:
    """Write ``generations/{llm}.parquet``.

    Finished shards of an earlier, killed run are taken over if they answer the same questions of
    the same model; see :mod:`clipdiff.llm.shards`.

    Args:
        settings: one LLM's entry, the task, and how to ask.
        captions: ``data/captions.parquet``; asked about for task ``rewrite`` (train split).
        pairs: ``data/pairs.parquet``; asked about for task ``difference``.
        output: the file to write.

    Raises:
        ConfigError: the prompt is missing or has no such task.
        DataError: an input is missing, truncated or lacks a column.
        ModelError: the model can't be loaded.
        GenerationError: its server can't answer.
    """
    if settings.definition.kind == "file":
        answers = _read_file(settings, pairs)
    else:
        answers = _ask(settings, plan(settings, captions, pairs), output)
    answers["llm"] = settings.llm
    answers["model"] = settings.definition.model
    answers["seed"] = settings.generate.seed
    columns = ["pair_id", "text", "llm", "model", "prompt_version", "seed", "finish_reason"]
    write_parquet(output, answers[[*columns, "prompt_tokens", "completion_tokens"]])


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
    return [
        Question(int(row_id), prompt.turns(settings.task, *texts), row_seed(seed, int(row_id)))
        for row_id, *texts in rows
    ]


def identity(settings: GenerateSettings) -> str:
    """Return what, beside a question and its seed, determines an answer, as JSON."""
    definition = settings.definition
    facts = {
        "version": settings.version,
        "definition": definition.model_dump(mode="json", exclude=IRRELEVANT),
        "sampling": settings.generate.model_dump(mode="json", exclude={"shard_rows", "seed"}),
        "prompt": prompts.load(definition.prompt).model_dump(mode="json"),
        "weights": weights_fingerprint(definition.model),
    }
    return json.dumps(facts, sort_keys=True)


def _ask(settings: GenerateSettings, questions: list[Question], output: Path) -> pd.DataFrame:
    """Answer all questions, shard by shard; a writer is opened only if one is missing."""
    store = ShardStore(output.parent / ".shards" / output.stem, identity(settings))
    shards = list(cut_into_shards(questions, settings.generate.shard_rows))
    tables = [store.read(shard) for shard in shards]
    missing = [place for place, table in enumerate(tables) if table is None]
    done = sum(len(shards[place]) for place in range(len(shards)) if place not in set(missing))
    if done:
        log.info("%s: %d of %d rows were there already", settings.llm, done, len(questions))
    prompt = prompts.load(settings.definition.prompt)
    if missing:
        with (
            closing(open_writer(settings.definition, settings.generate, prompt)) as writer,
            Meter(settings.llm, len(questions), done) as meter,
        ):
            for place in missing:
                shard = shards[place]
                answers = writer.write([q.turns for q in shard], [q.seed for q in shard])
                tables[place] = store.write(shard, answers)
                meter.add(len(shard), int(tables[place]["completion_tokens"].sum()))
    gathered = pd.concat(tables, ignore_index=True).rename(columns={"row_id": "pair_id"})
    return gathered.assign(prompt_version=prompt.version)


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
