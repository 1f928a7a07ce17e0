"""Food-101 (Bossard 2014): pictures and the lists of its ``meta`` folder."""

from pathlib import Path

import numpy as np
import pandas as pd

from clipdiff.datasets.base import DataSet, Row, read_lines, same_count, table_of
from clipdiff.errors import DataError


def read(root: Path, seed: int) -> pd.DataFrame:
    """Read both lists; of the training pictures a tenth, at random, is ``validation``.

    Labels are the publishers' readable names (``labels.txt``, in the order of ``classes.txt``), in
    small letters.
    """
    rng = np.random.default_rng(seed)
    meta = root / "meta"
    classes, labels = read_lines(meta / "classes.txt"), read_lines(meta / "labels.txt")
    same_count(meta / "labels.txt", len(labels), "one a class of classes.txt", len(classes))
    names = dict(zip(classes, (label.lower() for label in labels), strict=True))
    rows = []
    for part in ("train", "test"):
        listing = meta / f"{part}.txt"
        for row, line in enumerate(read_lines(listing)):
            folder = line.partition("/")[0]
            if folder not in names:
                raise DataError(f"{listing}, row {row}: '{folder}' is no class of classes.txt")
            split = "validation" if part == "train" and rng.random() < 0.1 else part
            path = root / "images" / f"{line}.jpg"
            rows.append(Row(split, listing, row, path=str(path), label=names[folder]))
    return table_of(rows)


SET = DataSet(
    read=read,
    needs=("meta/classes.txt", "meta/labels.txt", "meta/train.txt", "meta/test.txt", "images"),
    page="Food-101 (Computer Vision Lab, ETH Zurich)",
    archives="food-101.tar.gz (5 GB)",
    licence="license_agreement.txt in the archive",
    folders=("food-101",),
)
