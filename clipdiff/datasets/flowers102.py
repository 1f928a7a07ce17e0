"""Oxford Flowers-102 (Nilsback 2008): pictures and two MATLAB files.

``imagelabels.mat`` numbers classes from 1 and names none; ``flowers102.txt`` has the publishers'
names in that order, so that a class is chosen by its name.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from clipdiff.datasets.base import DataSet, Row, read_lines, table_of
from clipdiff.errors import DataError

NAMES = Path(__file__).with_suffix(".txt")
SPLITS = {"trnid": "train", "valid": "validation", "tstid": "test"}


def read(root: Path, seed: int) -> pd.DataFrame:
    """Read the three published splits."""
    names = read_lines(NAMES)
    path, listing = root / "imagelabels.mat", root / "setid.mat"
    labels = _numbers(path, "labels")
    if labels.min() < 1 or labels.max() > len(names):
        row = int(((labels < 1) | (labels > len(names))).argmax())
        raise DataError(f"{path}, row {row}: class {labels[row]}, expected 1 to {len(names)}")
    rows = []
    for key, split in SPLITS.items():
        for row, number in enumerate(_numbers(listing, key)):
            if not 1 <= number <= len(labels):
                raise DataError(
                    f"{listing}, row {row} of {key}: picture {number}, but {path.name} has labels "
                    f"of {len(labels)}"
                )
            picture = root / "jpg" / f"image_{number:05d}.jpg"
            label = names[labels[number - 1] - 1]
            rows.append(Row(split, listing, row, path=str(picture), label=label))
    return table_of(rows)


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


SET = DataSet(
    read=read,
    needs=("imagelabels.mat", "setid.mat", "jpg"),
    page="102 Category Flower Dataset (Visual Geometry Group, Oxford)",
    archives="Dataset images 102flowers.tgz (329 MB), The image labels imagelabels.mat, The data "
    "splits setid.mat",
    licence="102 Category Flower Dataset (states no licence; see its README)",
    folders=("flowers-102",),
)
