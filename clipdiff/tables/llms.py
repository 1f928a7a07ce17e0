"""What each LLM wrote: how much was kept, why the rest was not, and how good it is."""

import math
from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from clipdiff.files import read_parquet
from clipdiff.grid import Results

COLUMNS = ("pair_id", "difference", "kept", "drop_reason", "true", "truncated")


def describe_texts(files: Results, llms: Sequence[str]) -> pd.DataFrame:
    """Return the rows of ``tables/llms.csv``, one a row name of the grid.

    ``true_share`` is over kept texts that can be checked against the attributes; ``distinct_2``
    is the share of distinct word pairs (Li 2016); ``unique_share`` that of distinct texts. One
    column a drop reason counts its rows.

    Raises:
        DataError: a differences file is missing, truncated or lacks a column.
    """
    rows = [_describe(llm, read_parquet(files.differences(llm), COLUMNS)) for llm in llms]
    table = pd.DataFrame(rows)
    drops = sorted(name for name in table if name.startswith("dropped: "))
    return table[[*(name for name in table if name not in drops), *drops]].fillna(
        dict.fromkeys(drops, 0)
    )


def _describe(llm: str, table: pd.DataFrame) -> dict[str, object]:
    kept = table[table["kept"]]
    words = kept["difference"].str.lower().str.split()
    counts = words.str.len()
    checked = kept["true"].dropna().astype(bool)
    dropped = table.loc[~table["kept"].astype(bool), "drop_reason"].value_counts()
    return {
        "llm": llm,
        "rows": len(table),
        "kept": len(kept),
        "kept_share": len(kept) / len(table) if len(table) else math.nan,
        "checked": len(checked),
        "true_share": checked.mean() if len(checked) else math.nan,
        "mean_words": counts.mean(),
        "distinct_2": _distinct_2(words),
        "unique_share": kept["difference"].nunique() / len(kept) if len(kept) else math.nan,
        "truncated": int(kept["truncated"].sum()),
        **{f"dropped: {reason}": int(count) for reason, count in dropped.items()},
    }


def _distinct_2(texts: pd.Series) -> float:
    pairs = [pair for words in texts for pair in pairwise(words)]
    return len(set(pairs)) / len(pairs) if pairs else math.nan
