"""SUN397 (Xiao 2010): scenes in folders by first letter, class and view; ``ClassName.txt``."""

from pathlib import Path

import pandas as pd

from clipdiff.datasets.base import DataSet, read_lines, readable
from clipdiff.datasets.folder import class_rows, with_random_test
from clipdiff.errors import DataError

LISTING = "ClassName.txt"


def read(root: Path, seed: int) -> pd.DataFrame:
    """Read all pictures; of each class a tenth is ``test``, a tenth ``validation``, at random.

    ``/a/apartment_building/outdoor`` of ``ClassName.txt`` is ``apartment building outdoor``.
    """
    listing = root / LISTING
    names = {line.strip("/"): class_name(line) for line in read_lines(listing)}

    def label(folder: str) -> str:
        if folder not in names:
            raise DataError(f"{listing}: lacks the class of the folder {root / folder}")
        return names[folder]

    table = with_random_test(class_rows(root, "train", label), seed)
    for row, name in enumerate(names.values()):
        if name not in set(table["label"]):
            raise DataError(f"{listing}, row {row}: no pictures of the class '{name}'")
    return table


def class_name(line: str) -> str:
    """Return the class of a line without its first letter's folder, in plain words."""
    return readable(line.strip("/").partition("/")[2])


SET = DataSet(
    read=read,
    needs=(LISTING,),
    page="SUN Database: Scene Categorization Benchmark (Princeton)",
    archives="SUN397.tar.gz (36 GB)",
    licence="SUN Database: Scene Categorization Benchmark (research use)",
    folders=("SUN397",),
)
