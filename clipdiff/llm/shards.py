"""Answers kept in whole shards, each named after all that determines them.

A changed model, prompt, sampling setting or caption gives other names, so nothing stale is ever
read; more pairs keep the shards that are there.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from clipdiff.errors import DataError
from clipdiff.files import read_parquet, write_parquet
from clipdiff.llm.base import Answer
from clipdiff.llm.prompts import Turn

log = logging.getLogger(__name__)

COLUMNS = ["row_id", "text", "finish_reason", "prompt_tokens", "completion_tokens"]


@dataclass(frozen=True)
class Question:
    """One row to be answered: a pair, or a picture whose caption is reworded."""

    row_id: int
    turns: list[Turn]
    seed: int


class ShardStore:
    """The folder of one LLM's shards."""

    def __init__(self, folder: Path, identity: str):
        """Keep shards in ``folder``; ``identity`` says what the answers come from."""
        self.folder, self.identity = folder, identity

    def path(self, questions: Sequence[Question]) -> Path:
        """Return the file for these questions: a hash of them and of the identity."""
        asked = json.dumps([self.identity, [asdict(question) for question in questions]])
        return self.folder / f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.parquet"

    def read(self, questions: Sequence[Question]) -> pd.DataFrame | None:
        """Return the answers to these questions, or None if they have to be asked."""
        path = self.path(questions)
        if not path.is_file():
            return None
        try:
            return read_parquet(path, COLUMNS)
        except DataError as error:
            log.warning("%s; its rows are asked again", error)
            return None

    def write(self, questions: Sequence[Question], answers: Sequence[Answer]) -> pd.DataFrame:
        """Keep the answers to these questions and return them as a table."""
        table = pd.DataFrame([asdict(answer) for answer in answers])
        table.insert(0, "row_id", [question.row_id for question in questions])
        write_parquet(self.path(questions), table[COLUMNS])
        return table[COLUMNS]


def cut_into_shards(questions: Sequence[Question], rows: int) -> Iterator[Sequence[Question]]:
    """Yield runs of at most ``rows`` questions, at fixed boundaries."""
    for start in range(0, len(questions), rows):
        yield questions[start : start + rows]
