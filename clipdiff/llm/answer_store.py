"""Answers kept for good, each under a key that says all that determines it.

A changed model, prompt, sampling setting or caption gives another key: nothing stale is ever read,
and nothing is asked twice, not even after a setting was changed and changed back. An answer goes
into a journal the moment it comes and into a Parquet file with the others of its shard, so that
even ``kill -9`` loses only what was under way. Several jobs may fill one folder; each has a journal
and files of its own, and reads those of all.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import pandas as pd

from clipdiff.errors import DataError
from clipdiff.files import read_parquet, write_parquet
from clipdiff.prompts import Task
from clipdiff.writers.base import Answer

log = logging.getLogger(__name__)

COLUMNS = ["key", "text", "finish_reason", "prompt_tokens", "completion_tokens"]


@dataclass(frozen=True, slots=True)
class Question:
    """One row to be answered: two captions that are compared, or one text for the other tasks."""

    row_id: int
    task: Task
    captions: tuple[str, ...]
    seed: int


class AnswerStore:
    """The folder of one LLM's answers.

    Args:
        folder: where they are.
        identity: what, beside a question and its seed, determines an answer.
        job: name of the journal that this process writes.
    """

    def __init__(self, folder: Path, identity: str, job: str = "journal"):
        self.folder, self.journal = folder, folder / f"{job}.jsonl"
        self.identity = hashlib.sha256(identity.encode()).hexdigest()

    def key(self, question: Question) -> str:
        """Return the key of a question's answer, 32 hex digits."""
        asked = json.dumps([self.identity, question.task, *question.captions, question.seed])
        return hashlib.sha256(asked.encode()).hexdigest()[:32]

    def load(self) -> pd.DataFrame:
        """Return all kept answers, of whatever settings, indexed by key; broken files are skipped.

        What a killed process left in this job's journal moves to a Parquet file first.
        """
        left = read_journal(self.journal)
        if len(left):
            self.write(left)
        self.journal.unlink(missing_ok=True)
        tables = [self._read(path) for path in sorted(self.folder.glob("*.parquet"))]
        tables += [read_journal(path) for path in sorted(self.folder.glob("*.jsonl"))]
        # without the empty ones, whose columns of no type would make objects of all the others'
        tables = [table for table in tables if len(table)] or [pd.DataFrame(columns=COLUMNS)]
        whole = pd.concat(tables, ignore_index=True)
        return whole.drop_duplicates("key").set_index("key")

    def _read(self, path: Path) -> pd.DataFrame:
        try:
            return read_parquet(path, COLUMNS)[COLUMNS]
        except DataError as error:
            log.warning("%s; its rows are asked again", error)
            return pd.DataFrame(columns=COLUMNS)

    @contextmanager
    def journaling(self) -> Iterator["Journal"]:
        """Open the journal; on a clean exit what it holds becomes a Parquet file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.journal, "a", encoding="utf-8") as lines:
            journal = Journal(lines)
            yield journal
        if journal.rows:
            self.write(pd.DataFrame(journal.rows)[COLUMNS])
        self.journal.unlink()

    def write(self, table: pd.DataFrame) -> None:
        """Keep answers (``COLUMNS``) in a file named after their keys."""
        name = hashlib.sha256("".join(table["key"]).encode()).hexdigest()[:32]
        write_parquet(self.folder / f"{name}.parquet", table)


class Journal:
    """Answers as they come, one JSON line each."""

    def __init__(self, lines: IO[str]):
        self.lines = lines
        self.rows: list[dict[str, Any]] = []

    def add(self, key: str, answer: Answer) -> None:
        """Keep one answer; once this returns, killing the process does not lose it."""
        row = {"key": key, **asdict(answer)}
        self.lines.write(json.dumps(row) + "\n")
        self.lines.flush()
        self.rows.append(row)


def read_journal(path: Path) -> pd.DataFrame:
    """Return the whole lines of a journal; the last may be half a line of a killed process."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except FileNotFoundError:  # another job has just made a Parquet file of it
        lines = []
    return pd.DataFrame([json.loads(line) for line in lines], columns=COLUMNS)


def cut_into_shards(questions: Sequence[Question], rows: int) -> list[Sequence[Question]]:
    """Return runs of at most ``rows`` questions, at fixed boundaries."""
    return [questions[start : start + rows] for start in range(0, len(questions), rows)]
