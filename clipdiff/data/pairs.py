"""Drawing training pairs: unordered, each once, in random order within the pair."""

import numpy as np
import pandas as pd

from clipdiff.errors import DataError


def draw_pairs(captions: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Draw ``count`` distinct unordered pairs of train images.

    Args:
        captions: the captions table.
        count: pairs, 1 to M(M-1)/2 for M train images.
        seed: the draw repeats for equal seeds.

    Returns:
        ``pair_id, image_id_1, image_id_2, caption_1, caption_2``; ids int64, never i = j.

    Raises:
        DataError: there are not that many pairs.
    """
    train = captions[captions["split"] == "train"]
    size = len(train)
    most = size * (size - 1) // 2
    if count > most:
        raise DataError(f"data.pairs: got {count}, but {size} train images give {most} pairs")
    rng = np.random.default_rng(seed)
    first, second = _unrank(np.sort(rng.choice(most, count, replace=False)), size)
    flip = rng.random(count) < 0.5
    first, second = np.where(flip, second, first), np.where(flip, first, second)
    order = rng.permutation(count)
    rows = {1: first[order], 2: second[order]}
    ids, texts = train["image_id"].to_numpy(np.int64), train["caption"].to_numpy()
    return pd.DataFrame(
        {
            "pair_id": np.arange(count, dtype=np.int64),
            **{f"image_id_{side}": ids[row] for side, row in rows.items()},
            **{f"caption_{side}": texts[row] for side, row in rows.items()},
        }
    )


def _unrank(rank: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs (i, j), i < j < size, at places ``rank`` of their row-wise list."""
    starts = np.concatenate([[0], np.cumsum(np.arange(size - 1, 0, -1))])  # first rank of each i
    first = np.searchsorted(starts, rank, side="right") - 1
    return first, rank - starts[first] + first + 1
