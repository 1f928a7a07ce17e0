"""What CIFAR-10 and CIFAR-100 share (Krizhevsky 2009): the python version's pickles of images."""

import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from clipdiff.datasets.base import DatasetFolder
from clipdiff.datasets.reading.lists import readable, same_count
from clipdiff.datasets.reading.pickles import read_pickle, text_of
from clipdiff.datasets.reading.records import ImageRecord, table_of
from clipdiff.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


class CifarFolder(DatasetFolder):
    """One of the two; each names its own files and keys."""

    training_files: ClassVar[str]
    """Pattern of the files of training images."""
    test_file: ClassVar[str]
    names_file: ClassVar[str]
    names_key: ClassVar[str]
    labels_key: ClassVar[str]

    def read(self, root: Path, seed: int) -> "pd.DataFrame":
        """Read all images, as PNG; of the training ones a tenth, at random, is ``validation``."""
        rng = np.random.default_rng(seed)
        facts = read_pickle(root / self.names_file, (self.names_key,))
        names = [readable(text_of(name)) for name in facts[self.names_key]]
        training = sorted(root.glob(self.training_files))
        records = []
        for part, files in (("train", training), ("test", [root / self.test_file])):
            for path in files:
                for row, (image, label) in enumerate(zip(*self._batch(path), strict=True)):
                    if not isinstance(label, int) or not 0 <= label < len(names):
                        raise DataError(
                            f"{path}, row {row}: label {label}, of {len(names)} classes"
                        )
                    split = "validation" if part == "train" and rng.random() < 0.1 else part
                    give = partial(_png, image)
                    records.append(ImageRecord(split, path, row, image=give, label=names[label]))
        return table_of(records)

    def _batch(self, path: Path) -> tuple[np.ndarray, list[int]]:
        """Return images (n, 3072) uint8 and n labels of one file."""
        facts = read_pickle(path, ("data", self.labels_key))
        images, labels = np.asarray(facts["data"]), facts[self.labels_key]
        if images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != 3072:
            raise DataError(f"{path}: data are {images.shape}, expected (n, 3072) bytes")
        same_count(path, len(labels), f"a {self.labels_key} entry an image", len(images))
        return images, labels


def _png(image: np.ndarray) -> bytes:
    """Encode (3072,) uint8, three planes of 32 rows, without loss."""
    from PIL import Image

    stream = io.BytesIO()
    pixels = np.ascontiguousarray(image.reshape(3, 32, 32).transpose(1, 2, 0))
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
