"""Stage one: the captions table and the training pairs."""

import logging
from pathlib import Path

import pandas as pd

from clipdiff.settings import Data
from clipdiff.config.stages import PrepareSettings
from clipdiff.data.captions import COLUMNS, check_captions
from clipdiff.data.pairs import draw_pairs
from clipdiff.data.sets import read_set
from clipdiff.errors import DataError
from clipdiff.files import write_parquet

log = logging.getLogger(__name__)

READ_AT_ONCE = 500  # pictures that a stage that embeds them holds, beside its batch


def prepare(settings: PrepareSettings, table: pd.DataFrame, captions: Path, pairs: Path) -> None:
    """Write ``data/captions.parquet`` and ``data/pairs.parquet``.

    Args:
        settings: the data section; its evaluation sets are read and added to the captions.
        table: captions as :func:`coco_captions`, :func:`clipdiff.data.captions.read_table` or the
            demo make them.
        captions: output path.
        pairs: output path.

    Raises:
        DataError: the table breaks a promise, has too few train pictures for the pairs, or
            an evaluation set is incomplete.
    """
    data = settings.data
    check_captions(table, data.table or data.root or data.source)
    table = _first_train_rows(table, data.train_images, data.seed)
    drawn = draw_pairs(table, data.pairs, data.seed)
    table = _with_evaluation_sets(table, data)
    write_parquet(captions, table[list(COLUMNS)], group=READ_AT_ONCE)
    write_parquet(pairs, drawn)
    log.info("%d pictures, %d pairs", len(table), len(drawn))


def coco_captions(data: Data) -> pd.DataFrame:
    """Read COCO pictures with one caption each as the captions table.

    Raises:
        DataError: a file is missing or damaged (names file and row).
    """
    most = {
        "train": data.train_images,
        "validation": data.validation_images,
        "test": data.test_images,
    }
    table = read_set("coco", Path(str(data.root)), most, data.seed)
    return table.assign(image_id=range(len(table)), dataset=data.source)


def _with_evaluation_sets(table: pd.DataFrame, data: Data) -> pd.DataFrame:
    """Append each evaluation set: its test split, and some pictures of its validation split."""
    if "dataset" not in table or table["dataset"].isna().all():
        table = table.assign(dataset=data.source)
    parts = [table[list(COLUMNS)]]
    for name, entry in data.evaluation.items():
        kind, root = entry.layout(name), Path(entry.root)
        most = {"test": None, "validation": data.validation_images}
        part = read_set(kind, root, most, data.seed)
        splits = {"test": name, "validation": f"{name}_validation"}
        part["split"] = part["split"].map(splits)
        if not (part["split"] == name).any():
            raise DataError(f"{root}: {kind} has no test pictures there; complete or correct it")
        if taken := set(splits.values()) & set(table["split"]):
            raise DataError(
                f"data.evaluation.{name}: the captions have a split {sorted(taken)[0]} already; "
                "rename the entry and say its layout with kind"
            )
        log.info("%s: %s", name, part["split"].value_counts().to_dict())
        parts.append(part.assign(dataset=name))
    if len(parts) == 1:
        return parts[0]
    first = int(table["image_id"].max()) + 1
    added = pd.concat(parts[1:], ignore_index=True)
    added["image_id"] = range(first, first + len(added))
    return pd.concat([parts[0], added[list(COLUMNS)]], ignore_index=True)


def _first_train_rows(table: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Keep a random ``count`` of the train pictures and all others, in table order."""
    train = table[table["split"] == "train"]
    kept = train if len(train) <= count else train.sample(count, random_state=seed)
    keep = table["split"].ne("train") | table["image_id"].isin(kept["image_id"])
    return table[keep].reset_index(drop=True)
