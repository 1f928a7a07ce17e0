"""The captions table: one row an image, from wherever the images come."""

import pandas as pd

from clipdiff.errors import DataError

COLUMNS = ("image_id", "image", "path", "caption", "split", "dataset", "label", "attributes")


def check_captions(table: pd.DataFrame, source: str) -> None:
    """Check what every later stage relies on.

    Raises:
        DataError: an empty caption, a repeated image id, or fewer than two train images.
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
