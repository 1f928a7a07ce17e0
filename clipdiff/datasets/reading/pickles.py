"""Reading pickles of arrays without running what a pickle may ask to run."""

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from clipdiff.errors import DataError

# All that files of arrays name. numpy gives its own array maker whatever module it lives in.
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads containers, numbers, texts and numpy arrays; any other name in a pickle is refused."""

    def __init__(self, stream: BinaryIO):
        super().__init__(stream, encoding="bytes")  # else every image is held as a text too

    def find_class(self, module: str, name: str) -> Any:
        """Return one of ``ALLOWED``; nothing is imported."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no image needs")
        return ALLOWED[module, name]


def read_pickle(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """Read a dict with some keys from a pickle of arrays.

    Raises:
        DataError: the file is truncated, names anything but arrays, or lacks a key.
    """
    try:
        with open(path, "rb") as stream:
            facts = {text_of(key): value for key, value in ArrayUnpickler(stream).load().items()}
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; unpack its archive again") from error
    # a damaged pickle can raise nearly anything
    except Exception as error:
        raise DataError(f"{path}: not read as a pickle of arrays: {error}") from error
    missing = [key for key in keys if key not in facts]
    if missing:
        raise DataError(f"{path}: lacks {missing}; expected a file of the python version")
    return facts


def text_of(value: bytes | str) -> str:
    """Return a text as Python 3 has it; Python 2 wrote bytes."""
    return value.decode("latin1") if isinstance(value, bytes) else value
