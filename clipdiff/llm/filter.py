"""The filter stage: one LLM's answers cleaned and judged, and the rows of the controls."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from clipdiff.config.stages import FilterSettings
from clipdiff.errors import DataError
from clipdiff.files import read_parquet, write_parquet
from clipdiff.llm.context import TextContext
from clipdiff.llm.truth import Attributes, Vocabulary, is_true, read_attributes
from clipdiff.llm.verdicts import Judge, Verdict

log = logging.getLogger(__name__)

COLUMNS = ["pair_id", "image_id_1", "image_id_2", "difference", "kept", "drop_reason"]
TOKENS = ["prompt_tokens", "completion_tokens"]
COLUMNS += ["true", "true_swapped", "truncated", *TOKENS]


def filter_differences(
    settings: FilterSettings, captions: Path, pairs: Path, source: Path | None, output: Path
) -> None:
    """Write ``differences/{llm}.parquet``.

    Args:
        settings: the filter section; ``llm`` is a row name of the table: an LLM's entry,
            ``rewritten-<llm>``, ``shuffled-<llm>`` or ``captions``.
        captions: ``data/captions.parquet``.
        pairs: ``data/pairs.parquet``.
        source: raw answers; for ``shuffled-<llm>`` that LLM's differences; None for ``captions``.
        output: the file to write.

    Raises:
        DataError: an input is missing, truncated, lacks a column, or does not fit the others; or
            no text is left.
        ModelError: the CLIP, whose text context limits the texts, is not there.
    """
    columns = ("image_id", "caption", "split", "attributes")
    shown = read_parquet(captions, columns, optional=())
    if settings.llm.startswith("shuffled-"):
        table = shuffled(read_parquet(source, COLUMNS), settings.seed, source)
        table[TOKENS] = pd.NA  # nothing was asked
    elif source is None:
        table = _captions(settings, shown)
    else:
        table = _answers(settings, shown, pairs, source)
    table["true"], table["true_swapped"] = _truth(table, shown)
    write_parquet(output, table[COLUMNS])
    _report(settings.llm, table)
    if not table["kept"].any():
        raise DataError(f"{output}: no text of '{settings.llm}' is left to train on; see its log")


def shuffled(differences: pd.DataFrame, seed: int, where: Path) -> pd.DataFrame:
    """Give every kept text to another pair: a random cycle through all of them.

    Args:
        differences: an LLM's rows after the filter.
        seed: the cycle repeats for equal seeds.
        where: their file, for error texts.

    Returns:
        The kept rows, ``difference`` and ``truncated`` moved on together.

    Raises:
        DataError: fewer than two rows are kept.
    """
    kept = differences[differences["kept"]].reset_index(drop=True)
    if len(kept) < 2:
        raise DataError(f"{where}: {len(kept)} kept texts; shuffling needs at least 2")
    cycle = np.random.default_rng(seed).permutation(len(kept))
    moved = kept.copy()
    for name in ("difference", "truncated"):
        values = kept[name].to_numpy()[np.roll(cycle, 1)]
        moved[name] = pd.Series(values, index=cycle)
    return moved


def _captions(settings: FilterSettings, shown: pd.DataFrame) -> pd.DataFrame:
    """Train captions as they are; the text tower itself cuts the few that are too long."""
    train, context = shown[shown["split"] == "train"], TextContext(settings.clip)
    texts = [" ".join(text.split()) for text in train["caption"]]
    verdicts = [Verdict(text, None, not context.fits(text)) for text in texts]
    return _table(train["image_id"], train["image_id"], None, verdicts)


def _answers(
    settings: FilterSettings, shown: pd.DataFrame, pairs: Path, source: Path
) -> pd.DataFrame:
    """An LLM's answers, judged beside the captions that it was shown."""
    raw = read_parquet(source, ("pair_id", "text", "finish_reason", *TOKENS))
    compares = not settings.llm.startswith("rewritten-")
    if compares:
        asked = read_parquet(pairs, ("pair_id", "image_id_1", "image_id_2"))
    else:
        ids = shown.loc[shown["split"] == "train", "image_id"]
        asked = pd.DataFrame({"pair_id": ids, "image_id_1": ids})
    rows = raw.merge(asked, on="pair_id", how="left", validate="one_to_one")
    _check_joined(rows["image_id_1"], raw["pair_id"], source)
    caption = shown.set_index("image_id")["caption"]
    sides = ["image_id_1", "image_id_2"] if compares else ["image_id_1"]
    texts = [caption.reindex(rows[side]).tolist() for side in sides]
    judge = Judge(settings.filter, TextContext(settings.clip), texts[0], compares)
    verdicts = [
        judge.judge(text, reason, known)
        for text, reason, *known in zip(rows["text"], rows["finish_reason"], *texts, strict=True)
    ]
    second = rows["image_id_2"] if compares else None
    return _table(rows["pair_id"], rows["image_id_1"], second, verdicts).assign(
        **{name: rows[name].astype("Int64") for name in TOKENS}
    )


def _check_joined(image_id: pd.Series, pair_id: pd.Series, source: Path) -> None:
    unknown = image_id.isna().to_numpy()
    if unknown.any():
        row = int(unknown.argmax())
        raise DataError(
            f"{source}, row {row}: pair_id {pair_id.iloc[row]} is none of this run's; delete the "
            "file and generate again"
        )


def _table(
    pair_id: pd.Series, first: pd.Series, second: pd.Series | None, verdicts: Sequence[Verdict]
) -> pd.DataFrame:
    nothing = pd.array([None] * len(verdicts), dtype="Int64")
    return pd.DataFrame(
        {
            "pair_id": pair_id.to_numpy("int64"),
            "image_id_1": first.to_numpy("int64"),
            "image_id_2": nothing if second is None else second.astype("Int64").array,
            "difference": [verdict.text for verdict in verdicts],
            "kept": [verdict.drop_reason is None for verdict in verdicts],
            "drop_reason": pd.array([v.drop_reason for v in verdicts], dtype="string"),
            "truncated": [verdict.truncated for verdict in verdicts],
            **dict.fromkeys(TOKENS, nothing),
        }
    )


def _truth(table: pd.DataFrame, shown: pd.DataFrame) -> tuple[pd.array, pd.array]:
    """Check every text against its pictures' attributes; null where they or claims are missing.

    The second array says whether it would be true of the same pictures in the other order.
    """
    cells = zip(shown["image_id"], shown["attributes"], strict=True)
    known: dict[int, Attributes | None] = {int(i): read_attributes(cell) for i, cell in cells}
    vocabulary = Vocabulary(row for row in known.values() if row)
    second = table["image_id_2"].fillna(table["image_id_1"])
    verdicts: tuple[list[bool | None], list[bool | None]] = [], []
    for text, *sides in zip(table["difference"], table["image_id_1"], second, strict=True):
        rows = [known.get(int(side)) for side in sides]
        for found, order in zip(verdicts, (rows, rows[::-1]), strict=True):
            found.append(is_true(text, *order, vocabulary) if all(rows) else None)
    as_said, swapped = (pd.array(found, dtype="boolean") for found in verdicts)
    return as_said, swapped


def _report(llm: str, table: pd.DataFrame) -> None:
    """Log how many texts were kept, dropped by reason, cut, and how many are true."""
    kept = table[table["kept"]]
    log.info("%s: kept %d of %d texts, %d cut", llm, len(kept), len(table), kept.truncated.sum())
    for reason, count in table["drop_reason"].value_counts().items():
        log.info("%s: dropped %d: %s", llm, count, reason)
    checked = kept["true"].dropna()
    if len(checked):
        log.info("%s: %.1f %% of %d checked are true", llm, 100 * checked.mean(), len(checked))
