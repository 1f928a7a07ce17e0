"""Differences that the user brings: kind ``file``, a CSV or Parquet table."""

import logging
from pathlib import Path

import pandas as pd

from clipdiff.errors import DataError
from clipdiff.files import read_parquet

log = logging.getLogger(__name__)

KEYS = (["image_id_1", "image_id_2"], ["pair_id"])


def read_differences(path: Path, pairs: pd.DataFrame) -> pd.DataFrame:
    """Read a user's differences of this run's pairs.

    Args:
        path: table with ``difference`` and either ``image_id_1, image_id_2`` (the text says how
            the first differs from the second: the order matters) or ``pair_id``.
        pairs: ``data/pairs.parquet``.

    Returns:
        ``pair_id`` (int64) and ``text``, in the order of the pairs; pairs without a text are left
        out, and so are texts of other pairs.

    Raises:
        DataError: the table is missing or broken, lacks a column, holds a pair twice, or no pair.
    """
    table = read_user_table(path)
    keys = next((keys for keys in KEYS if set(keys) <= set(table.columns)), None)
    if keys is None or "difference" not in table.columns:
        raise DataError(
            f"{path}: has the columns {list(table.columns)}; expected difference, and image_id_1, "
            "image_id_2 or pair_id"
        )
    repeated = table.duplicated(keys)
    if repeated.any():
        row = int(repeated.to_numpy().argmax())
        raise DataError(f"{path}, row {row}: {dict(table.loc[row, keys])} stands there twice")
    ids = pairs[list(dict.fromkeys(["pair_id", *keys]))]
    found = ids.merge(table[[*keys, "difference"]], on=keys, how="inner")
    if found.empty:
        raise DataError(f"{path}: none of its {len(table)} rows is one of this run's pairs")
    log.info("%s: texts for %d of %d pairs", path, len(found), len(pairs))
    texts = found["difference"].fillna("").astype(str)
    return pd.DataFrame({"pair_id": found["pair_id"].astype("int64"), "text": texts})


def read_user_table(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet file.

    Raises:
        DataError: it is missing, or neither.
    """
    if path.suffix != ".csv":
        return read_parquet(path)
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read as CSV ({error}); correct the path") from error
