"""What each LLM wrote: how much was kept, why the rest was not, and how good it is."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import pandas as pd

from clipdiff.files import read_parquet
from clipdiff.grid import Layout, Row
from clipdiff.settings import Price
from clipdiff.tables.reading.swaps import swap_consistency

COLUMNS = ("pair_id", "difference", "kept", "drop_reason", "true", "true_swapped", "truncated")
TOKENS = ("prompt_tokens", "completion_tokens")


def describe_texts(
    layout: Layout,
    rows: Sequence[Row],
    answers: Mapping[str, str],
    prices: Mapping[str, Price],
    seconds: Mapping[str, float],
) -> pd.DataFrame:
    """Return the rows of ``tables/llms.csv``, one a row of the grid and its controls.

    ``true_share`` is over kept texts that can be checked against the attributes;
    ``direction_accuracy`` over those that are true of the images in one order only: the share
    that has the right order. ``swap_consistency`` needs no attributes: of pairs asked about in
    both orders, the share whose texts turn round (:mod:`clipdiff.tables.reading.swaps`).
    ``distinct_2`` is the share of distinct word pairs (Li 2016), ``unique_share`` that of distinct
    texts, ``self_repetition`` the mean share of a text's word triples that it has said before.
    Tokens are means over all answers; ``cost`` is what they took, where the entry has a price;
    ``rows_per_second`` counts the loading of the model, too, and what a rerun found there already.
    One column a drop reason counts its rows.

    Args:
        layout: where results lie.
        rows: those that were finetuned on.
        answers: who was asked for the texts of each LLM of the grid.
        prices: of the LLMs that have one.
        seconds: wall seconds in which each LLM was asked.

    Raises:
        DataError: a file is missing, truncated or lacks a column.
    """
    described, pairs = [], read_parquet(layout.pairs, ("pair_id", "caption_1", "caption_2"))
    for name in map(str, rows):
        texts = read_parquet(layout.differences(name), (*COLUMNS, *TOKENS))
        facts = _describe(name, texts, prices.get(name))
        swaps_file = layout.swaps(answers.get(name, name))
        if swaps_file.is_file():  # controls have none
            swaps = read_parquet(swaps_file, ("pair_id", "text"))
            facts["swap_consistency"] = swap_consistency(texts, swaps, pairs)
        described.append(facts)
    table = pd.DataFrame(described)
    drops = sorted(str(name) for name in table if str(name).startswith("dropped: "))
    table.insert(1, "rows_per_second", table["rows"] / table["llm"].map(seconds).astype(float))
    return table[[*(name for name in table if name not in drops), *drops]].fillna(
        dict.fromkeys(drops, 0)
    )


def _describe(llm: str, table: pd.DataFrame, price: Price | None) -> dict[str, object]:
    kept = table[table["kept"]]
    words = kept["difference"].str.lower().str.split()
    counts = words.map(len)
    checked = kept.dropna(subset=["true", "true_swapped"])
    one_way = checked[checked["true"] != checked["true_swapped"]]
    dropped = table.loc[~table["kept"].astype(bool), "drop_reason"].value_counts()
    tokens = [table[name].astype("float64") for name in TOKENS]
    return {
        "llm": llm,
        "rows": len(table),
        "kept": len(kept),
        "kept_share": len(kept) / len(table) if len(table) else math.nan,
        "checked": len(checked),
        "true_share": checked["true"].mean() if len(checked) else math.nan,
        "direction_accuracy": one_way["true"].mean() if len(one_way) else math.nan,
        "swap_consistency": math.nan,
        "mean_words": counts.mean(),
        "distinct_2": _distinct_2(words),
        "unique_share": kept["difference"].nunique() / len(kept) if len(kept) else math.nan,
        "self_repetition": words.map(repetition).mean(),
        "truncated": int(kept["truncated"].sum()),
        **{name: each.mean() for name, each in zip(TOKENS, tokens, strict=True)},
        "cost": price.cost(*(float(each.sum()) for each in tokens)) if price else math.nan,
        **{f"dropped: {reason}": int(count) for reason, count in dropped.items()},
    }


def repetition(words: list[str]) -> float:
    """Return the share of a text's word triples that it has said before."""
    triples = list(zip(words, words[1:], words[2:], strict=False))
    return 1 - len(set(triples)) / len(triples) if triples else 0.0


def _distinct_2(texts: pd.Series) -> float:
    pairs = [pair for words in texts for pair in pairwise(words)]
    return len(set(pairs)) / len(pairs) if pairs else math.nan
