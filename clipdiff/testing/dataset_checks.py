"""Does a data set give a table that the workflow can read, the same one for the same seed?"""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from clipdiff.datasets.base import COLUMNS, DatasetEntry
from clipdiff.testing.entry_checks import check_entry

COUNTS = {"train": 4, "validation": 4, "test": 4}


def check_dataset(entry: DatasetEntry, counts: Mapping[str, int] = COUNTS) -> None:
    """Check a data set that is in place, or a small one in its layout.

    Args:
        entry: with the settings to check; its files are read.
        counts: most images of each split to read.

    Raises:
        AssertionError: says what does not hold.
    """
    check_entry(entry)
    assert entry.trains or entry.evaluates, (
        f"{type(entry).__name__} says neither that it trains nor that it evaluates"
    )
    for fine, what in entry.findings():
        assert fine, f"clipdiff data check would find: {what}"
    if entry.trains:
        table = entry.captions(counts, 0)
        _check_same(table, entry.captions(counts, 0), "captions()")
        _check_table(table, "captions()")
        _check_captions(table)
    if entry.evaluates:
        splits = {name: counts[name] for name in ("test", "validation") if name in counts}
        table = entry.read_splits(splits, 0)
        _check_same(table, entry.read_splits(splits, 0), "read_splits()")
        _check_table(table, "read_splits()")
        sizes = table["split"].value_counts()
        assert set(sizes.index) <= set(splits), (
            f"read_splits() was asked for {sorted(splits)} and has {sorted(sizes.index)}"
        )
        more = [name for name, size in sizes.items() if size > splits[str(name)]]
        assert not more, f"read_splits() has more images of {more} than it was asked for"


def _check_same(table: pd.DataFrame, again: pd.DataFrame, what: str) -> None:
    assert table.equals(again), f"{what} with the same seed gave another table the second time"


def _check_table(table: pd.DataFrame, what: str) -> None:
    lacking = [name for name in COLUMNS if name not in table]
    assert not lacking, f"{what} lacks the columns {lacking}"
    assert len(table), f"{what} has no images"
    for row, cells in enumerate(table.to_dict("records")):
        where = f"{what}, row {row}"
        _check_image(cells["image"], cells["path"], where)
        told = [name for name in ("caption", "label") if _is_text(cells[name])]
        assert told, f"{where}: an image with neither caption nor label"
        attributes = cells["attributes"]
        if _is_text(attributes):
            assert isinstance(json.loads(attributes), dict), (
                f"{where}: its attributes are {attributes!r}, no JSON object"
            )


def _check_image(data: Any, path: Any, where: str) -> None:
    encoded = isinstance(data, bytes)
    assert encoded != _is_text(path), f"{where}: exactly one of image and path has to be set"
    try:
        with Image.open(io.BytesIO(data) if encoded else Path(path)) as image:
            image.load()
    except OSError as error:
        raise AssertionError(f"{where}: its image can't be read: {error}") from error


def _check_captions(table: pd.DataFrame) -> None:
    assert "image_id" in table, "captions() lacks the column image_id"
    assert table["image_id"].is_unique, "captions() has an image_id twice"
    without = [row for row, text in enumerate(table["caption"]) if not _is_text(text)]
    assert not without, f"captions() has images without a caption: rows {without[:5]}"
    assert (table["split"] == "train").any(), "captions() has no image of the split train"


def _is_text(cell: Any) -> bool:
    return isinstance(cell, str) and bool(cell.strip())
