"""Animals with Attributes 2 (Xian 2018): classes with 85 predicates, classes held out for testing.

The public code indexed the 50-row matrix with labels local to the 10 test classes, and predicates
by numbers off by one. Here a class finds its row by its name in ``classes.txt``, and a value its
predicate by its name in ``predicates.txt``.
"""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from clipdiff.datasets.base import DatasetFolder
from clipdiff.datasets.reading.lists import read_lines, read_numbered, readable, same_count
from clipdiff.datasets.reading.records import SUFFIXES, ImageRecord, table_of
from clipdiff.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

MATRIX = "predicate-matrix-binary.txt"


class Awa2(DatasetFolder):
    """Animals with Attributes 2."""

    kind: Literal["awa2"] = "awa2"

    needs: ClassVar[tuple[str, ...]] = (
        "classes.txt",
        "predicates.txt",
        MATRIX,
        "trainclasses.txt",
        "testclasses.txt",
        "JPEGImages",
    )
    page: ClassVar[str] = "Animals with Attributes 2 (cvml.ista.ac.at/AwA2)"
    archives: ClassVar[str] = "AwA2-base.zip (32 KB) and AwA2-data.zip (13 GB)"
    licence: ClassVar[str] = (
        "Animals with Attributes 2, section on the images' licences (the licence of each image is "
        "in the data archive)"
    )
    folders: ClassVar[tuple[str, ...]] = ("Animals_with_Attributes2",)

    def read(self, root: Path, seed: int) -> "pd.DataFrame":
        """Read the images of training and test classes; attributes are the predicates, 0 or 1."""
        predicates = class_predicates(root)
        records = []
        for split in ("train", "test"):
            listing = root / f"{split}classes.txt"
            for row, name in enumerate(read_lines(listing)):
                if name not in predicates:
                    raise DataError(
                        f"{listing}, row {row}: '{name}' is no class of classes.txt"
                        f"{did_you_mean(name, predicates)}"
                    )
                images = sorted((root / "JPEGImages" / name).glob("*"))
                if not images:
                    raise DataError(f"{listing}, row {row}: no images in JPEGImages/{name}")
                records += [
                    ImageRecord(split, listing, row, path=str(path), label=readable(name),
                                attributes=predicates[name])
                    for path in images
                    if path.suffix.lower() in SUFFIXES
                ]  # fmt: skip
        return table_of(records)


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
