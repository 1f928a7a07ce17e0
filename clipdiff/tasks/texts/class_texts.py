"""Texts about classes: "a versus b", by an LLM or by the templates, and descriptions of one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from clipdiff.errors import DataError
from clipdiff.files import read_parquet
from clipdiff.settings import Evaluate
from clipdiff.tasks.measuring.splits import Split
from clipdiff.tasks.texts.attributes import Coded, class_key, coded_attributes

COLUMNS = ("class_1", "class_2", "difference")
DESCRIPTIONS = ("class", "description")


class ClassTexts:
    """The text of an ordered pair of classes, if there is one.

    An LLM's, where ``evaluate.class_differences`` names a table. Otherwise the texts of the
    attributes in which the classes differ, of those that are their classes' own.
    """

    def __init__(self, split: Split, evaluate: Evaluate):
        self.class_names = split.class_names
        self.written: Mapping[tuple[str, str], str] | None = None
        path = evaluate.class_differences
        if path:
            self.written = read_class_differences(Path(path))
            return
        attributes = coded_attributes(evaluate.templates, split).values()
        examples = [(coded, class_examples(coded, split)) for coded in attributes]
        self.attributes = [(coded, rows) for coded, rows in examples if rows is not None]

    def of(self, first: int, second: int) -> str | None:
        """Return how class ``first`` differs from ``second`` (ids); None where nothing says so.

        The text is empty where an LLM was asked and gave no usable one.
        """
        if self.written is not None:
            keys = [class_key(self.class_names[place]) for place in (first, second)]
            return self.written.get((keys[0], keys[1]))
        texts = [
            coded.describe(rows[first], rows[second])
            for coded, rows in self.attributes
            if min(rows[first], rows[second]) >= 0
            and coded.codes[rows[first]] != coded.codes[rows[second]]
        ]
        return " ".join(texts) or None


def class_examples(coded: Coded, split: Split) -> np.ndarray | None:
    """Return (C,) int64: an image of each class that has the attribute, -1 for classes without.

    None if the attribute is not the classes' own: images of some class differ in it. (That those
    of one class happen to agree, as a single image does, says nothing.)
    """
    examples = np.full(len(split.class_names), -1)
    for label in np.unique(split.labels[split.labels >= 0]):
        rows = np.flatnonzero(split.labels == label)
        codes = np.unique(coded.codes[rows])  # NaN once
        if len(codes) > 1:
            return None
        if not np.isnan(codes[0]):
            examples[label] = rows[0]
    return examples


def read_class_differences(path: Path) -> dict[tuple[str, str], str]:
    """Read texts by the keys of their two classes; an empty text where it was not kept.

    Args:
        path: Parquet with the columns class_1, class_2 and difference: how the first class
            differs from the second; and maybe ``kept``.

    Raises:
        DataError: the file is truncated, or lacks a column or a text.
    """
    table = _read_whole(path, COLUMNS)
    keys = (table[column].astype(str).map(class_key) for column in COLUMNS[:2])
    texts = table["difference"].astype(str).where(_kept(table), "")
    return dict(zip(zip(*keys, strict=True), texts, strict=True))


def read_class_descriptions(path: Path, class_names: Sequence[str]) -> dict[int, str]:
    """Read what an LLM says of single classes, by class id; classes without a text are left out.

    Args:
        path: Parquet with the columns class and description, the whole text to be encoded; and
            maybe ``kept``.
        class_names: C names.

    Raises:
        DataError: the file is truncated, or lacks a column or a text, or knows no class.
    """
    whole = _read_whole(path, DESCRIPTIONS)
    table = whole[_kept(whole)]
    keys = table["class"].astype(str).map(class_key)
    by_key = dict(zip(keys, table["description"].astype(str), strict=True))
    texts = {
        place: by_key[class_key(name)]
        for place, name in enumerate(class_names)
        if class_key(name) in by_key
    }
    if len(table) and not texts:  # an LLM that can't describe has an empty table
        raise DataError(f"{path}: describes none of the {len(class_names)} classes by name")
    return texts


def _kept(table: pd.DataFrame) -> pd.Series:
    """Return (n,) bool: which rows the filter kept; all of a table that has not seen it."""
    return table.get("kept", pd.Series(True, table.index)).astype(bool)


def _read_whole(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    table = read_parquet(path, columns, optional=("kept",))
    if odd := [column for column in columns if table[column].isna().any()]:
        raise DataError(f"{path}: rows without {odd[0]}; fill them in or drop them")
    return table
