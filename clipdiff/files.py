"""Reading and writing the files between stages: whole or not at all, never half.

Writers make a temporary file beside the target and rename it. Readers turn a missing, truncated or
foreign file into one ``DataError`` that names it.
"""

import errno
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipdiff.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import torch

log = logging.getLogger(__name__)

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def written_whole(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path; on a clean exit it is synced and renamed to ``path``.

    Raises:
        DataError: the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield scratch
        with open(scratch, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(scratch, path)
    except OSError as error:
        if error.errno in FULL_DISK:
            raise DataError(f"{path}: the disk is full; free some space and run again") from error
        raise
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder against processes, on any node, that hold it too; wait until they let go.

    A job may outlive its Snakemake and meet its successor. The system lets go when a process ends,
    however it ends; on a file system without locks nothing is held.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("%s: another job works here; waiting for its end", folder)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            log.warning("%s: not locked (%s); see that no two jobs work here", folder, error)
        yield


def write_json(path: Path | str, value: Any) -> None:
    """Write a value as indented JSON."""
    with written_whole(path) as scratch:
        scratch.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        DataError: it is missing or not JSON.
    """
    try:
        return json.loads(_existing(path).read_text())
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); delete it and run again") from error


def write_parquet(path: Path | str, table: "pd.DataFrame", group: int | None = None) -> None:
    """Write a table as Parquet, without its index.

    Args:
        path: the file.
        table: its rows.
        group: rows that a reader of some rows has to read at once (None: the library's choice).
    """
    with written_whole(path) as scratch:
        table.to_parquet(scratch, index=False, row_group_size=group)


def read_parquet(
    path: Path | str,
    columns: Sequence[str] = (),
    optional: Sequence[str] | None = None,
    filters: Sequence[tuple[str, str, Any]] | None = None,
) -> "pd.DataFrame":
    """Read a Parquet table and check that it has ``columns``.

    Args:
        path: the file.
        columns: those that it must have.
        optional: read beside them only these, where it has them, so that images stay on the
            disk; None: all that it has.
        filters: conditions (column, operator, value), all of which a row must meet.

    Raises:
        DataError: it is missing, truncated or not Parquet, or it lacks a column.
    """
    import pandas as pd
    from pyarrow.parquet import read_schema

    try:
        there = read_schema(_existing(path)).names
        if missing := [name for name in columns if name not in there]:
            raise DataError(f"{path}: lacks the columns {missing}; it has {there}")
        extra = there if optional is None else optional
        names = [name for name in there if name in columns or name in extra]
        return pd.read_parquet(path, columns=names, filters=filters)
    except (OSError, ValueError) as error:  # pyarrow's errors derive from these
        raise DataError(
            f"{path}: not a whole Parquet file ({error}); delete it and run again"
        ) from error


def write_tensors(path: Path | str, tensors: dict[str, "torch.Tensor"]) -> None:
    """Write named tensors as safetensors."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with written_whole(path) as scratch:
        try:
            save_file({name: value.contiguous() for name, value in tensors.items()}, scratch)
        except SafetensorError as error:
            for number in FULL_DISK:  # the library tells of it in words only
                if f"os error {number})" in str(error):
                    raise OSError(number, str(error)) from error
            raise


def read_tensors(path: Path | str) -> dict[str, "torch.Tensor"]:
    """Read a safetensors file.

    Raises:
        DataError: it is missing, truncated or not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(_existing(path))
    except SafetensorError as error:
        raise DataError(
            f"{path}: not a whole safetensors file ({error}); delete it and run again"
        ) from error


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; run the stage that makes it, or correct the path")
    return path
