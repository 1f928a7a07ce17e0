"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), python version: pickles, read without running them."""

import io
import pickle
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from PIL import Image

from clipdiff.datasets.base import DataSet, Row, readable, same_count, table_of
from clipdiff.errors import DataError

# All that the published files name. numpy gives its own array maker whatever module it lives in.
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads containers, numbers, texts and numpy arrays; any other name in a pickle is refused."""

    def __init__(self, stream: BinaryIO):
        super().__init__(stream, encoding="bytes")  # else every picture is held as a text too

    def find_class(self, module: str, name: str) -> Any:
        """Return one of ``ALLOWED``; nothing is imported."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no picture needs")
        return ALLOWED[module, name]


def read_pickle(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """Read a dict with some keys from a pickle of arrays.

    Raises:
        DataError: the file is truncated, names anything but arrays, or lacks a key.
    """
    try:
        with open(path, "rb") as stream:
            facts = {_text(key): value for key, value in ArrayUnpickler(stream).load().items()}
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; unpack its archive again") from error
    # a damaged pickle can raise nearly anything
    except Exception as error:
        raise DataError(f"{path}: not read as a pickle of arrays: {error}") from error
    missing = [key for key in keys if key not in facts]
    if missing:
        raise DataError(f"{path}: lacks {missing}; expected a file of the python version")
    return facts


def _text(value: bytes | str) -> str:
    """Return a text as Python 3 has it; Python 2 wrote bytes."""
    return value.decode("latin1") if isinstance(value, bytes) else value


def read(
    training: str, test: str, meta: str, names_key: str, labels_key: str, root: Path, seed: int
) -> pd.DataFrame:
    """Read all pictures, as PNG; of the training ones a tenth, at random, is ``validation``."""
    rng = np.random.default_rng(seed)
    names = [readable(_text(name)) for name in read_pickle(root / meta, (names_key,))[names_key]]
    rows = []
    for part, files in (("train", sorted(root.glob(training))), ("test", [root / test])):
        for path in files:
            facts = read_pickle(path, ("data", labels_key))
            pictures, labels = np.asarray(facts["data"]), facts[labels_key]
            if pictures.dtype != np.uint8 or pictures.ndim != 2 or pictures.shape[1] != 3072:
                raise DataError(f"{path}: data are {pictures.shape}, expected (n, 3072) bytes")
            same_count(path, len(labels), f"a {labels_key} entry a picture", len(pictures))
            for row, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
                if not isinstance(label, int) or not 0 <= label < len(names):
                    raise DataError(f"{path}, row {row}: label {label}, of {len(names)} classes")
                split = "validation" if part == "train" and rng.random() < 0.1 else part
                image = partial(_png, picture)
                rows.append(Row(split, path, row, image=image, label=names[label]))
    return table_of(rows)


def _png(picture: np.ndarray) -> bytes:
    """Encode (3072,) uint8, three planes of 32 rows, without loss."""
    stream = io.BytesIO()
    pixels = np.ascontiguousarray(picture.reshape(3, 32, 32).transpose(1, 2, 0))
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


CIFAR10 = DataSet(
    read=partial(read, "data_batch_*", "test_batch", "batches.meta", "label_names", "labels"),
    needs=(*(f"data_batch_{part}" for part in range(1, 6)), "test_batch", "batches.meta"),
    page="The CIFAR-10 dataset (Alex Krizhevsky, University of Toronto)",
    archives="CIFAR-10 python version, cifar-10-python.tar.gz (163 MB)",
    licence="The CIFAR-10 dataset (states no licence; asks to cite the 2009 report)",
    folders=("cifar-10-batches-py",),
)
CIFAR100 = DataSet(
    read=partial(read, "train", "test", "meta", "fine_label_names", "fine_labels"),
    needs=("train", "test", "meta"),
    page="The CIFAR-100 dataset (Alex Krizhevsky, University of Toronto)",
    archives="CIFAR-100 python version, cifar-100-python.tar.gz (161 MB)",
    licence="The CIFAR-100 dataset (states no licence; asks to cite the 2009 report)",
    folders=("cifar-100-python",),
)
