"""Any folder of class folders: ``root/CLASS/PICTURE``, or ``root/SPLIT/CLASS/PICTURE``."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from clipdiff.datasets.base import PICTURES, DataSet, Row, readable, table_of
from clipdiff.errors import DataError

SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
TEST_SHARE = 0.1


def read(root: Path, seed: int) -> pd.DataFrame:
    """Read folders named for splits; where there are none, all pictures are ``test``."""
    named = [name for name in SPLITS if (root / name).is_dir()]
    if not named:
        return table_of(class_rows(root, "test"))
    rows = [row for name in named for row in class_rows(root / name, SPLITS[name])]
    return table_of(rows)


def class_rows(root: Path, split: str, label: Callable[[str], str] = readable) -> Iterator[Row]:
    """Yield the pictures of all class folders, sorted by path; ``row`` counts them.

    Args:
        root: holds one folder a class, however deep.
        split: of all.
        label: makes a class name of a folder's path under the root.

    Raises:
        DataError: no class folder holds a picture.
    """
    pictures = sorted(
        path for path in root.glob("*/**/*") if path.suffix.lower() in PICTURES and path.is_file()
    )
    if not pictures:
        raise DataError(f"{root}: no folder in it holds a picture ({', '.join(PICTURES)})")
    for row, path in enumerate(pictures):
        name = label(path.parent.relative_to(root).as_posix())
        yield Row(split, root, row, path=str(path), label=name)


def with_random_test(rows: Iterator[Row], seed: int) -> pd.DataFrame:
    """Draw splits where the publishers made none: 10 % test, 10 % validation, the rest train.

    The shares are of each class, so that none is missing from the test. The draw depends on the
    seed and the sorted paths alone.
    """
    table = table_of(rows)
    drawn = table["label"].iloc[np.random.default_rng(seed).permutation(len(table))]
    places = drawn.groupby(drawn).cumcount().sort_index()
    sizes = table.groupby("label")["label"].transform("size").astype(int)
    share = (TEST_SHARE * sizes).round().clip(lower=1)
    split = np.select([places < share, places < 2 * share], ["test", "validation"], "train")
    return table.assign(split=split)


SET = DataSet(
    read=read,
    needs=("*/*",),
    page="your own pictures",
    archives="one folder a class",
    licence="your own",
)
