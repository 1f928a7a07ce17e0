"""Differences that the user brings: a CSV or Parquet table."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from clipdiff.errors import DataError
from clipdiff.files import read_parquet
from clipdiff.writers.base import Finding, WriterEntry

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

KEYS = (["image_id_1", "image_id_2"], ["pair_id"])


class File(WriterEntry):
    """A table of differences; nobody is asked."""

    is_asked: ClassVar[bool] = False
    rewrites: ClassVar[bool] = False

    kind: Literal["file"] = "file"
    model: str = Field(
        description="CSV or Parquet with difference and either image_id_1, image_id_2 or pair_id"
    )

    def own_answers(self, pairs: "pd.DataFrame") -> "pd.DataFrame":
        """Return the table's texts of this run's pairs; see :func:`read_differences`."""
        return read_differences(Path(self.model), pairs)

    def findings(self) -> Iterator[Finding]:
        """Yield whether the table is there."""
        yield Path(self.model).is_file(), self.model


def read_differences(path: Path, pairs: "pd.DataFrame") -> "pd.DataFrame":
    """Read a user's differences of this run's pairs.

    Args:
        path: table with ``difference`` and either ``image_id_1, image_id_2`` (the text says how
            the first differs from the second: the order matters) or ``pair_id``.
        pairs: ``data/pairs.parquet``.

    Returns:
        ``pair_id`` (int64) and ``text``, in the order of the pairs; pairs without a text are left
        out, and so are texts of other pairs.

    Raises:
        DataError: the table is missing or broken, lacks a column, holds a pair twice, or no pair.
    """
    import pandas as pd

    table = read_user_table(path)
    keys = next((keys for keys in KEYS if set(keys) <= set(table.columns)), None)
    if keys is None or "difference" not in table.columns:
        raise DataError(
            f"{path}: has the columns {list(table.columns)}; expected difference, and image_id_1, "
            "image_id_2 or pair_id"
        )
    repeated = table.duplicated(keys)
    if repeated.any():
        row = int(repeated.to_numpy().argmax())
        raise DataError(f"{path}, row {row}: {dict(table.loc[row, keys])} stands there twice")
    ids = pairs[list(dict.fromkeys(["pair_id", *keys]))]
    matches = ids.merge(table[[*keys, "difference"]], on=keys, how="inner")
    if matches.empty:
        raise DataError(f"{path}: none of its {len(table)} rows is one of this run's pairs")
    log.info("%s: texts for %d of %d pairs", path, len(matches), len(pairs))
    texts = matches["difference"].fillna("").astype(str)
    return pd.DataFrame({"pair_id": matches["pair_id"].astype("int64"), "text": texts})


def read_user_table(path: Path) -> "pd.DataFrame":
    """Read a CSV or Parquet file.

    Raises:
        DataError: it is missing, or neither.
    """
    if path.suffix != ".csv":
        return read_parquet(path)
    import pandas as pd

    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read as CSV ({error}); correct the path") from error
