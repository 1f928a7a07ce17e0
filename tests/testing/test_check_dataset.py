"""The kit's check of data sets: two of the built-in ones pass, what is broken does not.

The others are checked where their layouts are written: tests/datasets/test_conformance.py.
"""

import io
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clipdiff.datasets.base import DatasetEntry
from clipdiff.datasets.demo import Demo
from clipdiff.datasets.table import Table
from clipdiff.testing import check_dataset


def png(shade: int) -> bytes:
    """Encode a tiny image."""
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def test_demo_passes():
    check_dataset(Demo())


def test_a_table_passes(tmp_path):
    for shade in range(3):
        (tmp_path / f"{shade}.png").write_bytes(png(shade))
    rows = {
        "image": [f"{i}.png" for i in range(3)],
        "caption": "red",
        "split": ["train"] * 2 + ["a"],
    }
    pd.DataFrame(rows).to_csv(tmp_path / "own.csv")
    check_dataset(Table(table=str(tmp_path / "own.csv")))


class Shades(DatasetEntry):
    """Images of one colour each; ``fault`` breaks one thing."""

    trains: ClassVar[bool] = True
    evaluates: ClassVar[bool] = True

    kind: str = "shades"
    fault: str = ""

    def captions(self, counts, seed):
        table = self.read_splits(counts, seed)
        ids = np.zeros(len(table)) if self.fault == "ids" else range(len(table))
        return table.assign(image_id=ids)

    def read_splits(self, counts, seed):
        rng = np.random.default_rng() if self.fault == "seed" else np.random.default_rng(seed)
        more = 1 if self.fault == "more" else 0
        rows = [
            {
                "image": b"none" if self.fault == "image" else png(int(shade)),
                "path": None,
                "caption": None if self.fault == "caption" else f"a red of {shade}",
                "split": split,
                "label": None if self.fault in ("caption", "text") else "red",
                "attributes": "[1]" if self.fault == "attributes" else '{"colour": "red"}',
            }
            for split, count in counts.items()
            for shade in rng.integers(0, 256, count + more)
        ]
        table = pd.DataFrame(rows)
        return table.drop(columns="label") if self.fault == "column" else table

    def findings(self):
        yield self.fault != "place", "shades are not there"


class Useless(DatasetEntry):
    kind: str = "useless"


def test_a_sound_data_set_passes():
    check_dataset(Shades())


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (Shades(fault="seed"), "with the same seed gave another table"),
        (Shades(fault="ids"), "has an image_id twice"),
        (Shades(fault="image"), "its image can't be read"),
        (Shades(fault="caption"), "an image with neither caption nor label"),
        (Shades(fault="attributes"), "no JSON object"),
        (Shades(fault="column"), r"lacks the columns \['label'\]"),
        (Shades(fault="more"), "has more images of"),
        (Shades(fault="place"), "clipdiff data check would find: shades are not there"),
        (Useless(), "says neither that it trains nor that it evaluates"),
    ],
)
def test_broken_data_sets_fail(entry, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_dataset(entry)
