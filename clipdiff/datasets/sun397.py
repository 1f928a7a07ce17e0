"""SUN397 (Xiao 2010): scenes in folders by first letter, class and view; ``ClassName.txt``."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from clipdiff.datasets.base import DatasetFolder
from clipdiff.datasets.reading.class_folders import class_records, with_random_test
from clipdiff.datasets.reading.lists import read_lines, readable
from clipdiff.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

LISTING = "ClassName.txt"


class Sun397(DatasetFolder):
    """SUN397, all scenes of all views."""

    kind: Literal["sun397"] = "sun397"

    needs: ClassVar[tuple[str, ...]] = (LISTING,)
    page: ClassVar[str] = "SUN Database: Scene Categorization Benchmark (Princeton)"
    archives: ClassVar[str] = "SUN397.tar.gz (36 GB)"
    licence: ClassVar[str] = "SUN Database: Scene Categorization Benchmark (research use)"
    folders: ClassVar[tuple[str, ...]] = ("SUN397",)

    def read(self, root: Path, seed: int) -> "pd.DataFrame":
        """Read all images; of each class a tenth is ``test``, a tenth ``validation``, at random.

        ``/a/apartment_building/outdoor`` of ``ClassName.txt`` is ``apartment building outdoor``.
        """
        listing = root / LISTING
        names = {line.strip("/"): class_name(line) for line in read_lines(listing)}

        def label(folder: str) -> str:
            if folder not in names:
                raise DataError(f"{listing}: lacks the class of the folder {root / folder}")
            return names[folder]

        table = with_random_test(class_records(root, "train", label), seed)
        for row, name in enumerate(names.values()):
            if name not in set(table["label"]):
                raise DataError(f"{listing}, row {row}: no images of the class '{name}'")
        return table


def class_name(line: str) -> str:
    """Return the class of a line without its first letter's folder, in plain words."""
    return readable(line.strip("/").partition("/")[2])
