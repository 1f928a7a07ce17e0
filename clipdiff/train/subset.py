"""Training on fewer pictures or pairs: always the same ones, and fewer within more."""

import pandas as pd

IDS = ["image_id_1", "image_id_2"]


def chosen_rows(table: pd.DataFrame, images: int | None, pairs: int | None) -> pd.DataFrame:
    """Return the kept rows that are trained on, in the order of the table.

    Pictures and pairs are ranked by hashes of their ids. So a number means the same pictures and,
    but for what the filter drops, the same pairs whoever wrote the texts; and those of a smaller
    number are among those of a larger one.

    Args:
        table: ``differences/{llm}.parquet``: image_id_1, image_id_2 (null for captions), kept.
        images: most pictures; None for all.
        pairs: most pairs; None for all.
    """
    rows = table[table["kept"].astype(bool)]
    if images is not None:
        ids = pd.Series(pd.unique(table[IDS].stack().dropna().astype("int64")))
        used = ids[_rank(ids.to_frame()) <= images]
        rows = rows[rows[IDS[0]].isin(used) & (rows[IDS[1]].isin(used) | rows[IDS[1]].isna())]
    if pairs is not None:
        rows = rows[_rank(rows[IDS]) <= pairs]
    return rows


def _rank(ids: pd.DataFrame) -> pd.Series:
    """Return 1 to n, an order of n rows that looks random and is the same everywhere."""
    hashes = pd.util.hash_pandas_object(ids.astype("float64"), index=False)
    return hashes.rank(method="first")
