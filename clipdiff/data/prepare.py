"""Stage one: the captions table and the training pairs."""

import logging
from pathlib import Path

import pandas as pd

from clipdiff.config.model import Data
from clipdiff.config.stages import PrepareSettings
from clipdiff.data.captions import COLUMNS, check_captions
from clipdiff.data.pairs import draw_pairs
from clipdiff.datasets.base import DatasetEntry
from clipdiff.errors import DataError
from clipdiff.files import write_parquet

log = logging.getLogger(__name__)

READ_AT_ONCE = 500  # images that a stage that embeds them holds, beside its batch


def prepare(settings: PrepareSettings, captions: Path, pairs: Path) -> None:
    """Write ``data/captions.parquet`` and ``data/pairs.parquet``.

    Args:
        settings: the data section, which says what is read.
        captions: output path.
        pairs: output path.

    Raises:
        ConfigError: the training set has no captions to train on.
        DataError: a data set is incomplete, damaged or breaks a promise, or has too few train
            images for the pairs.
    """
    data = settings.data
    table = data.training_set().captions(data.counts, data.seed)
    check_captions(table, data.table or data.root or data.source)
    table = _first_train_rows(table, data.train_images, data.seed)
    train_pairs = draw_pairs(table, data.pairs, data.seed)
    table = _with_evaluation_sets(table, data)
    write_parquet(captions, table[list(COLUMNS)], group=READ_AT_ONCE)
    write_parquet(pairs, train_pairs)
    log.info("%d images, %d pairs", len(table), len(train_pairs))


def _with_evaluation_sets(table: pd.DataFrame, data: Data) -> pd.DataFrame:
    """Append each evaluation set: its test split, and some images of its validation split."""
    if "dataset" not in table or table["dataset"].isna().all():
        table = table.assign(dataset=data.source)
    parts = [table[list(COLUMNS)]]
    for name, entry in data.evaluation.items():
        part = _evaluation_set(name, entry, data)
        if both := set(_split_names(name).values()) & set(table["split"]):
            raise DataError(
                f"data.evaluation.{name}: the captions have a split {sorted(both)[0]} already; "
                "rename the entry and say its layout with kind"
            )
        parts.append(part)
    if len(parts) == 1:
        return parts[0]
    first = int(table["image_id"].max()) + 1
    evaluation = pd.concat(parts[1:], ignore_index=True)
    evaluation["image_id"] = range(first, first + len(evaluation))
    return pd.concat([parts[0], evaluation[list(COLUMNS)]], ignore_index=True)


def _evaluation_set(name: str, entry: DatasetEntry, data: Data) -> pd.DataFrame:
    """Read one evaluation set, its splits named for its entry."""
    counts = {"test": None, "validation": data.validation_images}
    table = entry.read_splits(counts, data.seed)
    table = table.assign(split=table["split"].map(_split_names(name)))
    if not (table["split"] == name).any():
        raise DataError(
            f"data.evaluation.{name}: {entry.kind} has no test images there; complete or correct it"
        )
    log.info("%s: %s", name, table["split"].value_counts().to_dict())
    return table.assign(dataset=name)


def _split_names(name: str) -> dict[str, str]:
    """Return what the splits of an evaluation set are called beside those of training."""
    return {"test": name, "validation": f"{name}_validation"}


def _first_train_rows(table: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Keep a random ``count`` of the train images and all others, in table order."""
    train = table[table["split"] == "train"]
    sample = train if len(train) <= count else train.sample(count, random_state=seed)
    keep = table["split"].ne("train") | table["image_id"].isin(sample["image_id"])
    return table[keep].reset_index(drop=True)
