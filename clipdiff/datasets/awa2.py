"""Animals with Attributes 2 (Xian 2018): classes with 85 predicates, classes held out for testing.

The public code indexed the 50-row matrix with labels local to the 10 test classes, and predicates
by numbers off by one. Here a class finds its row by its name in ``classes.txt``, and a value its
predicate by its name in ``predicates.txt``.
"""

from pathlib import Path

import pandas as pd

from clipdiff.datasets.base import (
    PICTURES,
    DataSet,
    Row,
    read_lines,
    read_numbered,
    readable,
    same_count,
    table_of,
)
from clipdiff.errors import DataError, did_you_mean

MATRIX = "predicate-matrix-binary.txt"


def read(root: Path, seed: int) -> pd.DataFrame:
    """Read the pictures of the training and test classes; attributes are the predicates, 0 or 1."""
    predicates = class_predicates(root)
    rows = []
    for split in ("train", "test"):
        listing = root / f"{split}classes.txt"
        for row, name in enumerate(read_lines(listing)):
            if name not in predicates:
                raise DataError(
                    f"{listing}, row {row}: '{name}' is no class of classes.txt"
                    f"{did_you_mean(name, predicates)}"
                )
            pictures = sorted((root / "JPEGImages" / name).glob("*"))
            if not pictures:
                raise DataError(f"{listing}, row {row}: no pictures in JPEGImages/{name}")
            rows += [
                Row(split, listing, row, path=str(path), label=readable(name),
                    attributes=predicates[name])
                for path in pictures
                if path.suffix.lower() in PICTURES
            ]  # fmt: skip
    return table_of(rows)


def class_predicates(root: Path) -> dict[str, dict[str, int]]:
    """Return each class's predicates by name, 1 where the class has it.

    Raises:
        DataError: the matrix has not one row a class and one column a predicate of 0 or 1.
    """
    classes = read_numbered(root / "classes.txt")
    names = read_numbered(root / "predicates.txt")
    path = root / MATRIX
    lines = read_lines(path)
    same_count(path, len(lines), "one a class of classes.txt", len(classes))
    table = {}
    for row, line in enumerate(lines):
        cells = line.split()
        if len(cells) != len(names) or set(cells) - {"0", "1"}:
            raise DataError(f"{path}, row {row}: expected {len(names)} times 0 or 1")
        values = {name: int(cells[number - 1]) for number, name in names.items()}
        table[classes[row + 1]] = values
    return table


SET = DataSet(
    read=read,
    needs=("classes.txt", "predicates.txt", MATRIX, "trainclasses.txt", "testclasses.txt",
           "JPEGImages"),
    page="Animals with Attributes 2 (cvml.ista.ac.at/AwA2)",
    archives="AwA2-base.zip (32 KB) and AwA2-data.zip (13 GB)",
    licence="Animals with Attributes 2, section on the images' licences (the licence of each "
    "picture is in the data archive)",
    folders=("Animals_with_Attributes2",),
)  # fmt: skip
