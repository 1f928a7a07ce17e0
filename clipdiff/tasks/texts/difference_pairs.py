"""The pairs of difference-based classification: which images, and the texts of both orders.

``evaluate.draws`` times, half of ``pairs_per_draw`` pairs are drawn, each taken in both orders: so
a text tower that is blind to the direction of a text scores exactly one half.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from clipdiff.errors import DataError
from clipdiff.files import read_parquet
from clipdiff.settings import LLM_TEXTS, Evaluate
from clipdiff.tasks.measuring.splits import Split
from clipdiff.tasks.texts.attributes import Coded, coded_attributes
from clipdiff.tasks.texts.evaluation_questions import EvaluationQuestion, about_images

WRITTEN = "written"
COLUMNS = ("image_id_1", "image_id_2", "difference")


@dataclass(frozen=True)
class AttributePairs:
    """The items of one attribute: rows (N, 2) of the split, and the texts of each pair."""

    name: str
    pair_rows: np.ndarray  # (N, 2) int64
    draws: np.ndarray  # (N,) int64
    true_texts: list[str]
    swapped_texts: list[str]


def difference_pairs(split: Split, evaluate: Evaluate) -> list[AttributePairs]:
    """Return the pairs of each attribute of the templates, and of the written texts, if any.

    Raises:
        ConfigError: the templates are missing or malformed.
        DataError: the split lacks an attribute, or images that differ.
    """
    pairs = [
        _draw_pairs(name, coded, split, evaluate)
        for name, coded in coded_attributes(evaluate.templates, split).items()
    ]
    if evaluate.pair_differences:
        texts = read_pair_differences(Path(evaluate.pair_differences), split)
        pairs.append(_draw_written(texts, split, evaluate))
    if not pairs:
        raise DataError(
            f"{split.where}: evaluate.templates is '{evaluate.templates}' and "
            "evaluate.pair_differences names no texts; name one of them for this split, or leave "
            "difference_classification out of its tasks"
        )
    return pairs


def questions_about_pairs(split: Split, evaluate: Evaluate) -> Iterator[EvaluationQuestion]:
    """Ask about held-out pairs in both orders, where an LLM is to write of them."""
    if evaluate.pair_differences != LLM_TEXTS:
        return
    for first, second in pairs_to_write_about(split, evaluate):
        yield about_images(split, first, second)
        yield about_images(split, second, first)


def pairs_to_write_about(split: Split, evaluate: Evaluate) -> np.ndarray:
    """Return (P, 2) int64 rows of pairs i < j that an LLM is asked about, in no particular order.

    As the paper does: ``draws`` times, ``images_per_draw`` images, and pairs among them.

    Raises:
        DataError: fewer than two images have a caption.
    """
    captioned = np.flatnonzero([bool(caption) for caption in split.captions])
    if len(captioned) < 2:
        raise DataError(
            f"{split.where}: {len(captioned)} images have a caption, and LLMs write from captions; "
            "add captions, or name no `llm` as this split's pair_differences"
        )
    parts = []
    for draw in range(evaluate.draws):
        rng = np.random.default_rng([*_stream(split, evaluate, draw), zlib.crc32(b"asked")])
        count = min(evaluate.images_per_draw, len(captioned))
        rows = np.sort(rng.choice(captioned, count, replace=False))
        candidates = np.stack(np.triu_indices(len(rows), 1), axis=1)
        half = min(max(1, evaluate.pairs_per_draw // 2), len(candidates))
        parts.append(rows[candidates[rng.choice(len(candidates), half, replace=False)]])
    return np.unique(np.concatenate(parts), axis=0)


def read_pair_differences(path: Path, split: Split) -> dict[tuple[int, int], str]:
    """Read texts of ordered pairs (i, j) of rows of a split, those with a text in both orders.

    Args:
        path: Parquet with the columns image_id_1, image_id_2 and difference: how the first
            image differs from the second, such as an LLM's text on their captions; and maybe
            ``kept``: rows without are left out.
        split: its images; rows with others are left out.

    Raises:
        DataError: the file is missing or truncated, or no pair has a text in both orders.
    """
    table = read_parquet(path, COLUMNS, optional=("kept",)).dropna(subset=list(COLUMNS))
    if "kept" in table:
        table = table[table["kept"]]
    places = pd.Index(split.image_ids)
    rows = [places.get_indexer(table[column]) for column in COLUMNS[:2]]
    texts = {
        (int(first), int(second)): str(text)
        for first, second, text in zip(*rows, table["difference"], strict=True)
        if min(first, second) >= 0 and first != second
    }
    both = {pair: text for pair, text in texts.items() if pair[::-1] in texts}
    if not both:
        raise DataError(
            f"{path}: {len(table)} rows, but no two images of {split.where} with a text in both "
            "orders; write both, as accuracy needs the one and AUC the other"
        )
    return both


def _draw_written(
    texts: dict[tuple[int, int], str], split: Split, evaluate: Evaluate
) -> AttributePairs:
    """Draw pairs with a text; while there are enough, no two draws share one."""
    pairs = np.array(sorted(pair for pair in texts if pair[0] < pair[1]), dtype=np.int64)
    half = min(max(1, evaluate.pairs_per_draw // 2), len(pairs))
    rng = np.random.default_rng([*_stream(split, evaluate, 0), zlib.crc32(b"written")])
    left, parts = np.empty(0, dtype=np.int64), []
    for _ in range(evaluate.draws):
        if len(left) < half:
            left = rng.permutation(len(pairs))
        part, left = pairs[left[:half]], left[half:]
        parts.append(np.concatenate([part, part[:, ::-1]]))
    pair_rows = np.concatenate(parts)
    return AttributePairs(
        name=WRITTEN,
        pair_rows=pair_rows,
        draws=np.repeat(np.arange(evaluate.draws), 2 * half),
        true_texts=[texts[i, j] for i, j in pair_rows.tolist()],
        swapped_texts=[texts[j, i] for i, j in pair_rows.tolist()],
    )


def _stream(split: Split, evaluate: Evaluate, draw: int) -> list[int]:
    return [evaluate.seed % 2**32, zlib.crc32(split.name.encode()), draw]


def _draw_pairs(name: str, coded: Coded, split: Split, evaluate: Evaluate) -> AttributePairs:
    parts = [
        _pairs_of_draw(coded.codes, name, split, evaluate, draw) for draw in range(evaluate.draws)
    ]
    pair_rows = np.concatenate(parts)
    if not len(pair_rows):
        raise DataError(
            f"{split.where}: in {evaluate.draws} draws of {evaluate.images_per_draw} images no "
            f"two differ in '{name}'; raise evaluate.images_per_draw or evaluate.draws"
        )
    return AttributePairs(
        name=name,
        pair_rows=pair_rows,
        draws=np.repeat(np.arange(evaluate.draws), [len(rows) for rows in parts]),
        true_texts=[coded.describe(i, j) for i, j in pair_rows],
        swapped_texts=[coded.describe(j, i) for i, j in pair_rows],
    )


def _pairs_of_draw(
    codes: np.ndarray, name: str, split: Split, evaluate: Evaluate, draw: int
) -> np.ndarray:
    """Return (P, 2) int64 rows of pairs that differ in an attribute, in both orders.

    They are among ``images_per_draw`` images that have it; attributes that every image has
    share a draw's images.
    """
    stream = _stream(split, evaluate, draw)
    coded = np.flatnonzero(~np.isnan(codes))
    count = min(evaluate.images_per_draw, len(coded))
    places = np.random.default_rng(stream).choice(len(coded), count, replace=False)
    rows = coded[np.sort(places)]
    own = codes[rows]
    candidates = np.argwhere(np.triu(own[:, None] != own[None], 1))
    rng = np.random.default_rng([*stream, zlib.crc32(name.encode())])
    half = min(max(1, evaluate.pairs_per_draw // 2), len(candidates))
    pairs = rows[candidates[rng.choice(len(candidates), half, replace=False)]]
    return np.concatenate([pairs, pairs[:, ::-1]])
