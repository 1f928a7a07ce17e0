"""Folders of class folders, and splits drawn where there are none."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from clipdiff.datasets.reading.lists import readable
from clipdiff.datasets.reading.records import SUFFIXES, ImageRecord, table_of
from clipdiff.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

SPLIT_FOLDERS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
"""The split of each name that a folder of a split may have."""
TEST_SHARE = 0.1


def class_records(
    root: Path, split: str, label: Callable[[str], str] = readable
) -> Iterator[ImageRecord]:
    """Yield the images of all class folders, sorted by path; ``row`` counts them.

    Args:
        root: holds one folder a class, however deep.
        split: of all.
        label: makes a class name of a folder's path under the root.

    Raises:
        DataError: no class folder holds an image.
    """
    paths = sorted(
        path for path in root.glob("*/**/*") if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not paths:
        raise DataError(f"{root}: no folder in it holds an image ({', '.join(SUFFIXES)})")
    for row, path in enumerate(paths):
        name = label(path.parent.relative_to(root).as_posix())
        yield ImageRecord(split, root, row, path=str(path), label=name)


def with_random_test(records: Iterable[ImageRecord], seed: int) -> "pd.DataFrame":
    """Draw splits where the publishers made none: 10 % test, 10 % validation, the rest train.

    The shares are of each class, so that none is missing from the test. The draw depends on the
    seed and the sorted paths alone.
    """
    import numpy as np

    table = table_of(records)
    labels = table["label"].iloc[np.random.default_rng(seed).permutation(len(table))]
    places = labels.groupby(labels).cumcount().sort_index()
    sizes = table.groupby("label")["label"].transform("size").astype(int)
    share = (TEST_SHARE * sizes).round().clip(lower=1)
    split = np.select([places < share, places < 2 * share], ["test", "validation"], "train")
    return table.assign(split=split)
