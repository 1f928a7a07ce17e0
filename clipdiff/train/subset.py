"""Training on a part of the texts: ``train.images`` and ``train.pairs``."""

from pathlib import Path

import numpy as np
import pandas as pd

from clipdiff.errors import DataError
from clipdiff.files import read_parquet
from clipdiff.settings import Train


def training_part(kept: pd.DataFrame, train: Train, captions: Path, where: Path) -> pd.DataFrame:
    """Return the rows that a cell trains on, in the order that they have.

    First those of the first ``train.images`` training images, then the first ``train.pairs`` of
    them. What is first is a matter of the ids alone, at random but the same for every LLM, loss,
    seed and rank; so a smaller part lies within a larger one, and a dropped text makes room for
    the next without moving the others.

    Args:
        kept: rows with ``pair_id``, ``image_id_1`` and ``image_id_2`` (null: one image's text).
        train: the section as it holds for the cell.
        captions: ``data/captions.parquet``; read where ``train.images`` is set.
        where: the file of ``kept``, for the error.

    Raises:
        DataError: no row is left.
    """
    if train.images is not None:
        table = read_parquet(captions, ("image_id", "split"), optional=())
        images = table.loc[table["split"] == "train", "image_id"].to_numpy(np.int64)
        first = images[_first(images, train.images)]
        single = kept["image_id_2"].isna()
        inside = kept["image_id_1"].isin(first) & (kept["image_id_2"].isin(first) | single)
        if not inside.any():
            raise DataError(
                f"{where}: none of its {len(kept)} kept texts is about two of the first "
                f"{len(first)} of {len(images)} training images; raise train.images (of the "
                "section, or of the entry of loss_definitions) or data.pairs"
            )
        kept = kept[inside]
    if train.pairs is not None:
        kept = kept.iloc[np.sort(_first(kept["pair_id"].to_numpy(np.int64), train.pairs))]
    return kept


def _first(ids: np.ndarray, count: int) -> np.ndarray:
    """Return the places of the first ids (n,) int64 in the order of their hashes, at most n."""
    return np.argsort(pd.util.hash_array(ids), kind="stable")[:count]
