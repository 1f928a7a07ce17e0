"""Captions and pairs for the stages, and their settings."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from tiny_writers import CAPTIONS, asked, entry, models, server  # noqa: F401 - fixtures

from clipdiff.config.stages import GenerateSettings
from clipdiff.settings import Generate
from clipdiff.writers.base import WriterEntry


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Results folder with the captions and pairs tables."""
    folder = tmp_path / "data"
    folder.mkdir()
    captions = [text for pair in CAPTIONS for text in pair]
    pd.DataFrame(
        {
            "image_id": range(len(captions)),
            "caption": captions,
            "split": "train",
            "attributes": None,
        }
    ).to_parquet(folder / "captions.parquet")
    first, second = zip(*CAPTIONS, strict=True)
    ids = range(0, len(captions), 2)
    pd.DataFrame(
        {
            "pair_id": range(len(CAPTIONS)),
            "image_id_1": ids,
            "image_id_2": [i + 1 for i in ids],
            "caption_1": first,
            "caption_2": second,
        }
    ).to_parquet(folder / "pairs.parquet")
    return tmp_path


@pytest.fixture
def settings() -> Callable[..., GenerateSettings]:
    """Return a function that makes settings of the generate stage, with small shards."""

    def make(
        definition: WriterEntry, task: str = "difference", **generate: object
    ) -> GenerateSettings:
        asking = Generate(**({"shard_rows": 3} | generate))
        return GenerateSettings(llm="x", task=task, definition=definition, generate=asking)

    return make
