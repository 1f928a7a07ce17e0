"""The images of one evaluated split, as every task sees them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clipdiff.errors import DataError, did_you_mean
from clipdiff.files import read_parquet


@dataclass(frozen=True)
class Split:
    """One split of ``data/captions.parquet``, in its order.

    ``rows`` (n,) are its rows of the file; ``labels`` are class ids into ``class_names``, -1 for
    an image without one; ``attributes`` are empty for an image without any.
    """

    name: str
    where: str
    image_ids: np.ndarray  # (n,) int64
    rows: np.ndarray  # (n,) int64
    captions: list[str]  # "" where there is none
    labels: np.ndarray  # (n,) int64
    class_names: list[str]
    attributes: list[dict[str, Any]]

    def values(self, attribute: str) -> list[Any]:
        """Return one attribute of every image, None where it lacks it."""
        return [row.get(attribute) for row in self.attributes]


def read_captions(path: Path) -> pd.DataFrame:
    """Read the captions table, without its images.

    Raises:
        DataError: it is missing, truncated or lacks a column.
    """
    columns = ("image_id", "caption", "split", "label", "attributes")
    return read_parquet(path, columns, optional=("dataset",))


def make_splits(table: pd.DataFrame, names: Sequence[str], path: Path) -> list[Split]:
    """Cut the evaluated splits out of the captions table.

    Classes are the sorted distinct labels of a split's data set (column ``dataset``; a table
    without it is one), so that all its splits have the same ones.

    Raises:
        DataError: a split has no image, or an attributes cell is no JSON object.
    """
    sets = table["dataset"].astype(str) if "dataset" in table else pd.Series("", table.index)
    splits = []
    for name in names:
        rows = np.flatnonzero((table["split"] == name).to_numpy())
        if not len(rows):
            there = [str(split) for split in table["split"].unique()]
            raise DataError(
                f"{path}: no image has split '{name}'{did_you_mean(name, there)}; "
                f"evaluate.splits can name: {', '.join(there)}"
            )
        part = table.iloc[rows]
        labels = table["label"][sets.isin(sets.iloc[rows])].dropna().astype(str)
        class_names = sorted(set(labels))
        places = {label: place for place, label in enumerate(class_names)}
        named = ["" if pd.isna(label) else str(label) for label in part["label"]]
        splits.append(
            Split(
                name=name,
                where=f"{path}, split '{name}'",
                image_ids=part["image_id"].to_numpy(np.int64),
                rows=rows,
                captions=part["caption"].fillna("").astype(str).tolist(),
                labels=np.array([places.get(label, -1) for label in named], dtype=np.int64),
                class_names=class_names,
                attributes=[_attributes(*cell, path) for cell in part["attributes"].items()],
            )
        )
    return splits


def labelled_rows(split: Split, task: str) -> np.ndarray:
    """Return (n,) int64: the images of a split that have a label.

    Args:
        split: its images.
        task: which needs them, for the error.

    Raises:
        DataError: there is none, or there are fewer than two classes.
    """
    rows = np.flatnonzero(split.labels >= 0)
    if not len(rows) or len(split.class_names) < 2:
        raise DataError(
            f"{split.where}: {len(rows)} labelled images and {len(split.class_names)} classes; "
            f"{task} needs labels of at least 2 classes: fill the label column, or leave {task} "
            "out of evaluate.tasks or of the split's own in evaluate.per_split"
        )
    return rows


def _attributes(row: Any, text: Any, path: Path) -> dict[str, Any]:
    if pd.isna(text):
        return {}
    try:
        values = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}, row {row}: attributes are not JSON ({error})") from error
    if not isinstance(values, dict):
        raise DataError(f"{path}, row {row}: attributes are {text!r}, expected a JSON object")
    return {name: value for name, value in values.items() if value is not None}
