"""Stage one: the captions table and the training pairs."""

import logging
from pathlib import Path

import pandas as pd

from clipdiff.config.stages import PrepareSettings
from clipdiff.data.captions import COLUMNS, check_captions
from clipdiff.data.pairs import draw_pairs
from clipdiff.files import write_parquet

log = logging.getLogger(__name__)


def prepare(settings: PrepareSettings, table: pd.DataFrame, captions: Path, pairs: Path) -> None:
    """Write ``data/captions.parquet`` and ``data/pairs.parquet``.

    Args:
        settings: the data section.
        table: captions as :func:`clipdiff.data.captions.read_table` or the demo make them.
        captions: output path.
        pairs: output path.

    Raises:
        DataError: the table breaks a promise, or has too few train pictures for the pairs.
    """
    data = settings.data
    check_captions(table, data.table or data.source)
    table = _first_train_rows(table, data.train_images, data.seed)
    drawn = draw_pairs(table, data.pairs, data.seed)
    write_parquet(captions, table[list(COLUMNS)])
    write_parquet(pairs, drawn)
    log.info("%d pictures, %d pairs", len(table), len(drawn))


def _first_train_rows(table: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Keep a random ``count`` of the train pictures and all others, in table order."""
    train = table[table["split"] == "train"]
    kept = train if len(train) <= count else train.sample(count, random_state=seed)
    keep = table["split"].ne("train") | table["image_id"].isin(kept["image_id"])
    return table[keep].reset_index(drop=True)
