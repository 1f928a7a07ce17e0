"""Food-101 (Bossard 2014): images and the lists of its ``meta`` folder."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from clipdiff.datasets.base import DatasetFolder
from clipdiff.datasets.reading.lists import read_lines, same_count
from clipdiff.datasets.reading.records import ImageRecord, table_of
from clipdiff.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


class Food101(DatasetFolder):
    """Food-101."""

    kind: Literal["food101"] = "food101"

    needs: ClassVar[tuple[str, ...]] = (
        "meta/classes.txt",
        "meta/labels.txt",
        "meta/train.txt",
        "meta/test.txt",
        "images",
    )
    page: ClassVar[str] = "Food-101 (Computer Vision Lab, ETH Zurich)"
    archives: ClassVar[str] = "food-101.tar.gz (5 GB)"
    licence: ClassVar[str] = "license_agreement.txt in the archive"
    folders: ClassVar[tuple[str, ...]] = ("food-101",)

    def read(self, root: Path, seed: int) -> "pd.DataFrame":
        """Read both lists; of the training images a tenth, at random, is ``validation``.

        Labels are the publishers' readable names (``labels.txt``, in the order of
        ``classes.txt``), in small letters.
        """
        rng = np.random.default_rng(seed)
        meta = root / "meta"
        classes, labels = read_lines(meta / "classes.txt"), read_lines(meta / "labels.txt")
        same_count(meta / "labels.txt", len(labels), "one a class of classes.txt", len(classes))
        names = dict(zip(classes, (label.lower() for label in labels), strict=True))
        records = []
        for part in ("train", "test"):
            listing = meta / f"{part}.txt"
            for row, line in enumerate(read_lines(listing)):
                folder = line.partition("/")[0]
                if folder not in names:
                    raise DataError(f"{listing}, row {row}: '{folder}' is no class of classes.txt")
                split = "validation" if part == "train" and rng.random() < 0.1 else part
                path = root / "images" / f"{line}.jpg"
                label = names[folder]
                records.append(ImageRecord(split, listing, row, path=str(path), label=label))
        return table_of(records)
