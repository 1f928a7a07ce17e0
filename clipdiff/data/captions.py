"""The captions table: one row a picture, from wherever the pictures come."""

from pathlib import Path

import pandas as pd

from clipdiff.data.pictures import check_picture
from clipdiff.errors import DataError
from clipdiff.files import read_parquet

COLUMNS = ("image_id", "image", "path", "caption", "split", "dataset", "label", "attributes")
REQUIRED = ("image", "caption", "split")


def read_table(path: Path) -> pd.DataFrame:
    """Read a user's CSV or Parquet table as captions.

    Args:
        path: table with the columns ``image`` (a path, relative to the table), ``caption`` and
            ``split`` (``train`` for finetuning, any other name for evaluation), and optionally
            ``label`` (class for zero-shot), ``attributes`` (a JSON object) and ``dataset``
            (splits of one name share their classes; without it all do).

    Returns:
        The columns of ``data/captions.parquet``.

    Raises:
        DataError: a column is missing, or a picture is missing or unreadable (names the row).
    """
    if path.suffix == ".csv":
        if not path.is_file():
            raise DataError(f"{path}: no such file; set data.table to your CSV or Parquet file")
        table = pd.read_csv(path, dtype={"caption": str, "label": str})
    else:
        table = read_parquet(path)
    missing = [name for name in REQUIRED if name not in table.columns]
    if missing:
        raise DataError(f"{path}: lacks the columns {missing}; it has {list(table.columns)}")
    paths = [(path.parent / str(name)).resolve() for name in table["image"]]
    for row, picture in enumerate(paths):
        check_picture(picture, f"{path}, row {row}")
    return pd.DataFrame(
        {
            "image_id": range(len(table)),
            "image": None,
            "path": [str(picture) for picture in paths],
            "caption": table["caption"],
            "split": table["split"],
            "dataset": table.get("dataset"),
            "label": table.get("label"),
            "attributes": table.get("attributes"),
        }
    )


def check_captions(table: pd.DataFrame, source: str) -> None:
    """Check what every later stage relies on.

    Raises:
        DataError: an empty caption, a repeated image id, or fewer than two train pictures.
    """
    empty = table["caption"].isna() | (table["caption"].astype(str).str.strip() == "")
    if empty.any():
        row = int(empty.to_numpy().argmax())
        raise DataError(f"{source}, row {row}: the caption is empty; write one or remove the row")
    repeated = table["image_id"].duplicated()
    if repeated.any():
        row = int(repeated.to_numpy().argmax())
        raise DataError(
            f"{source}, row {row}: image_id {table['image_id'][row]} stands there twice"
        )
    count = int((table["split"] == "train").sum())
    if count < 2:
        raise DataError(f"{source}: {count} rows have split 'train'; expected at least 2")
