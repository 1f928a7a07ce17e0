"""The filter stage: one LLM's answers cleaned and checked, and the rows of the controls."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.arrays import BooleanArray

from clipdiff.config.stages import FilterSettings
from clipdiff.errors import DataError
from clipdiff.files import read_parquet, write_parquet
from clipdiff.grid import Control, Row
from clipdiff.llm.text_context import TextContext
from clipdiff.llm.text_filter import Screening, TextFilter
from clipdiff.llm.truth import Attributes, Vocabulary, is_true, read_attributes

log = logging.getLogger(__name__)

COLUMNS = ["pair_id", "image_id_1", "image_id_2", "difference", "kept", "drop_reason"]
TOKENS = ["prompt_tokens", "completion_tokens"]
COLUMNS += ["true", "true_swapped", "truncated", *TOKENS]


def filter_differences(
    settings: FilterSettings, captions: Path, pairs: Path, source: Path | None, output: Path
) -> None:
    """Write ``differences/{llm}.parquet``.

    Args:
        settings: the filter section; ``llm`` is a row's name.
        captions: ``data/captions.parquet``.
        pairs: ``data/pairs.parquet``.
        source: raw answers; for a shuffled row that LLM's differences; None for ``captions``.
        output: the file to write.

    Raises:
        DataError: an input is missing, truncated, lacks a column, or does not fit the others; or
            no text is left.
        ModelError: the CLIP, whose text context limits the texts, is not there.
    """
    columns = ("image_id", "caption", "split", "attributes")
    images = read_parquet(captions, columns, optional=())
    if source is None:
        table = _captions(settings, images)
    elif Row.parse(settings.llm).control == Control.SHUFFLED:
        table = shuffle(read_parquet(source, COLUMNS), settings.seed, source)
        table[TOKENS] = pd.NA  # nothing was asked
    else:
        table = _answers(settings, images, pairs, source)
    table["true"], table["true_swapped"] = _truth(table, images)
    write_parquet(output, table[COLUMNS])
    _report(settings.llm, table)
    if not table["kept"].any():
        raise DataError(f"{output}: no text of '{settings.llm}' is left to train on; see its log")


def shuffle(differences: pd.DataFrame, seed: int, where: Path) -> pd.DataFrame:
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


def _captions(settings: FilterSettings, images: pd.DataFrame) -> pd.DataFrame:
    """Train captions as they are; the text tower itself cuts the few that are too long."""
    train, context = images[images["split"] == "train"], TextContext(settings.clip)
    texts = [" ".join(text.split()) for text in train["caption"]]
    screenings = [Screening(text, None, not context.fits(text)) for text in texts]
    return _table(train["image_id"], train["image_id"], None, screenings)


def _answers(
    settings: FilterSettings, images: pd.DataFrame, pairs: Path, source: Path
) -> pd.DataFrame:
    """An LLM's answers, screened beside the captions that it was asked about."""
    raw = read_parquet(source, ("pair_id", "text", "finish_reason", *TOKENS))
    compares = Row.parse(settings.llm).control != Control.REWRITTEN
    if compares:
        asked = read_parquet(pairs, ("pair_id", "image_id_1", "image_id_2"))
    else:
        ids = images.loc[images["split"] == "train", "image_id"]
        asked = pd.DataFrame({"pair_id": ids, "image_id_1": ids})
    rows = raw.merge(asked, on="pair_id", how="left", validate="one_to_one")
    _check_joined(rows["image_id_1"], raw["pair_id"], source)
    caption = images.set_index("image_id")["caption"]
    sides = ["image_id_1", "image_id_2"] if compares else ["image_id_1"]
    texts = [caption.reindex(rows[side]).tolist() for side in sides]
    text_filter = TextFilter(settings.filter, TextContext(settings.clip), texts[0], compares)
    screenings = [
        text_filter.screen(text, reason, beside)
        for text, reason, *beside in zip(rows["text"], rows["finish_reason"], *texts, strict=True)
    ]
    second = rows["image_id_2"] if compares else None
    return _table(rows["pair_id"], rows["image_id_1"], second, screenings).assign(
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
    pair_id: pd.Series,
    first: pd.Series,
    second: pd.Series | None,
    screenings: Sequence[Screening],
) -> pd.DataFrame:
    nothing = pd.array([None] * len(screenings), dtype="Int64")
    return pd.DataFrame(
        {
            "pair_id": pair_id.to_numpy("int64"),
            "image_id_1": first.to_numpy("int64"),
            "image_id_2": nothing if second is None else second.astype("Int64").array,
            "difference": [each.text for each in screenings],
            "kept": [each.drop_reason is None for each in screenings],
            "drop_reason": pd.array([each.drop_reason for each in screenings], dtype="string"),
            "truncated": [each.truncated for each in screenings],
            **dict.fromkeys(TOKENS, nothing),
        }
    )


def _truth(table: pd.DataFrame, images: pd.DataFrame) -> tuple[BooleanArray, BooleanArray]:
    """Check every text against its images' attributes; null where they or claims are missing.

    The second array says whether it would be true of the same images in the other order.
    """
    cells = zip(images["image_id"], images["attributes"], strict=True)
    attributes: dict[int, Attributes | None] = {int(i): read_attributes(cell) for i, cell in cells}
    vocabulary = Vocabulary(row for row in attributes.values() if row)
    second = table["image_id_2"].fillna(table["image_id_1"])
    as_written: list[bool | None] = []
    swapped: list[bool | None] = []
    for text, *ids in zip(table["difference"], table["image_id_1"], second, strict=True):
        one, other = (attributes.get(int(image_id)) for image_id in ids)
        if one and other:
            as_written.append(is_true(text, one, other, vocabulary))
            swapped.append(is_true(text, other, one, vocabulary))
        else:
            as_written.append(None)
            swapped.append(None)
    return pd.array(as_written, dtype="boolean"), pd.array(swapped, dtype="boolean")


def _report(llm: str, table: pd.DataFrame) -> None:
    """Log how many texts were kept, dropped by reason, cut, and how many are true."""
    kept = table[table["kept"]]
    log.info("%s: kept %d of %d texts, %d cut", llm, len(kept), len(table), kept.truncated.sum())
    for reason, count in table["drop_reason"].value_counts().items():
        log.info("%s: dropped %d: %s", llm, count, reason)
    checked = kept["true"].dropna()
    if len(checked):
        log.info("%s: %.1f %% of %d checked are true", llm, 100 * checked.mean(), len(checked))
