"""Oxford Flowers-102 (Nilsback 2008): images and two MATLAB files.

``imagelabels.mat`` numbers classes from 1 and names none; ``flowers102.txt`` has the publishers'
names in that order, so that a class goes by its name.
"""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from clipdiff.datasets.base import DatasetFolder
from clipdiff.datasets.reading.lists import read_lines
from clipdiff.datasets.reading.records import ImageRecord, table_of
from clipdiff.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

NAMES = Path(__file__).with_suffix(".txt")
SPLIT_KEYS = {"trnid": "train", "valid": "validation", "tstid": "test"}


class Flowers102(DatasetFolder):
    """Oxford Flowers-102."""

    kind: Literal["flowers102"] = "flowers102"

    needs: ClassVar[tuple[str, ...]] = ("imagelabels.mat", "setid.mat", "jpg")
    page: ClassVar[str] = "102 Category Flower Dataset (Visual Geometry Group, Oxford)"
    archives: ClassVar[str] = (
        "Dataset images 102flowers.tgz (329 MB), The image labels imagelabels.mat, "
        "The data splits setid.mat"
    )
    licence: ClassVar[str] = "102 Category Flower Dataset (states no licence; see its README)"
    folders: ClassVar[tuple[str, ...]] = ("flowers-102",)

    def read(self, root: Path, seed: int) -> "pd.DataFrame":
        """Read the three published splits."""
        names = read_lines(NAMES)
        labels_path, listing = root / "imagelabels.mat", root / "setid.mat"
        labels = _numbers(labels_path, "labels")
        if labels.min() < 1 or labels.max() > len(names):
            row = int(((labels < 1) | (labels > len(names))).argmax())
            raise DataError(
                f"{labels_path}, row {row}: class {labels[row]}, expected 1 to {len(names)}"
            )
        records = []
        for key, split in SPLIT_KEYS.items():
            for row, number in enumerate(_numbers(listing, key)):
                if not 1 <= number <= len(labels):
                    raise DataError(
                        f"{listing}, row {row} of {key}: image {number}, but {labels_path.name} "
                        f"has labels of {len(labels)}"
                    )
                path = root / "jpg" / f"image_{number:05d}.jpg"
                label = names[labels[number - 1] - 1]
                records.append(ImageRecord(split, listing, row, path=str(path), label=label))
        return table_of(records)


def _numbers(path: Path, key: str) -> np.ndarray:
    """Return one variable (n,) int64 of a MATLAB file."""
    from scipy.io import loadmat

    try:
        return loadmat(path)[key].ravel().astype(np.int64)
    except KeyError as error:
        raise DataError(f"{path}: lacks the variable {error}") from error
    # a damaged file can raise nearly anything
    except Exception as error:
        raise DataError(f"{path}: not read as a MATLAB file: {error}") from error
