"""What all data sets share: how one is described, and reading its list files with clear errors."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

import pandas as pd
from pydantic import Field

from clipdiff.errors import DataError
from clipdiff.registry import Entry, Registry

PICTURES = (".jpg", ".jpeg", ".png", ".webp")


class DatasetEntry(Entry):
    """A data set, as its publishers pack it; or images of a user's own.

    Its splits are ``train``, ``validation`` and ``test``. The class attributes say what there has
    to be under the root, and what ``clipdiff data check`` tells of it.
    """

    room: ClassVar[str] = "clipdiff.datasets"

    needs: ClassVar[tuple[str, ...]] = ()
    """Files and folders under the root that there must be; a ``*`` stands for any name."""
    page: ClassVar[str] = ""
    """Name of the official page."""
    archives: ClassVar[str] = ""
    """What to download there."""
    licence: ClassVar[str] = ""
    """Name of the page or file that states the terms."""
    folders: ClassVar[tuple[str, ...]] = ()
    """Folders to which archives unpack; the root may hold one of them or be it."""
    extras: ClassVar[tuple[str, ...]] = ()
    """Files that add captions or attributes where they are there."""

    root: str = Field(description="folder into which its archives were unpacked")

    def read(self, root: Path, seed: int) -> pd.DataFrame:
        """Read all images, one row each, as :func:`table_of` makes it.

        Args:
            root: the folder that holds the data (``place``).
            seed: draws what the publishers did not fix: one caption of several, and splits.

        Raises:
            DataError: a file is missing or damaged (names file and row).
        """
        raise NotImplementedError(f"{type(self).__name__} reads nothing")

    @property
    def place(self) -> Path:
        """The folder that holds the data: the root, or one that an archive unpacked to."""
        root = Path(self.root)
        places = [root, *(root / folder for folder in self.folders)]
        return max(places, key=lambda place: len(self.needs) - len(self.missing_in(place)))

    @classmethod
    def missing_in(cls, place: Path) -> list[str]:
        """Return those of ``needs`` that a folder lacks."""
        return [need for need in cls.needs if not any(place.glob(need))]

    @property
    def missing(self) -> list[str]:
        """The paths that are not there; empty where the set is in place."""
        return [str(self.place / need) for need in self.missing_in(self.place)]


DATASETS = Registry(DatasetEntry)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, stripped; blank lines at the end do not count.

    Raises:
        DataError: it is missing or no text.
    """
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").rstrip().splitlines()]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; `clipdiff data check` lists what is needed") from (
            error
        )
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file ({error}); unpack its archive again") from error


def read_numbered(path: Path) -> dict[int, str]:
    """Return the lines ``number text`` of a file as text by number.

    Raises:
        DataError: a line is not of that form, or a number stands there twice (names the row).
    """
    texts: dict[int, str] = {}
    for row, line in enumerate(read_lines(path)):
        number, _, text = line.partition(" ") if " " in line else line.partition("\t")
        if not number.strip().isdigit() or not text.strip():
            raise DataError(f"{path}, row {row}: got {line!r}, expected a number and a text")
        if int(number) in texts:
            raise DataError(f"{path}, row {row}: number {int(number)} stands there twice")
        texts[int(number)] = text.strip()
    return texts


def read_flags(path: Path, known: dict[int, str]) -> dict[int, int]:
    """Return the lines ``number value`` of a file as integers by number.

    Raises:
        DataError: a value is no integer, or the numbers are not those of ``known``.
    """
    values = read_numbered(path)
    if set(values) != set(known):
        raise DataError(
            f"{path}: {len(values)} rows, {len(set(known) - set(values))} of {len(known)} listed "
            "pictures lack one; unpack its archive again"
        )
    for row, value in enumerate(values.values()):
        if not value.isdigit():
            raise DataError(f"{path}, row {row}: got {value!r}, expected a whole number")
    return {number: int(value) for number, value in values.items()}


def same_count(path: Path, got: int, what: str, expected: int) -> None:
    """Refuse a file that has not as many rows as it must.

    Raises:
        DataError: it has more or fewer.
    """
    if got != expected:
        raise DataError(f"{path}: {got} rows, expected {expected}, {what}; unpack it again")


def readable(name: str) -> str:
    """Return a class name in plain words: ``apple_pie``, ``grizzly+bear``, ``a/b`` lose signs."""
    return " ".join(name.replace("_", " ").replace("+", " ").replace("/", " ").split())


@dataclass(frozen=True, slots=True)
class Row:
    """One picture of a data set; ``listing`` and ``row`` say where it is named.

    ``image`` gives the picture itself: it is called for those that are kept, after all are drawn.
    """

    split: str
    listing: Path
    row: int
    path: str | None = None
    image: Callable[[], bytes] | None = None
    caption: str | None = None
    label: str | None = None
    attributes: dict[str, str | int] | None = None


def table_of(rows: Iterable[Row]) -> pd.DataFrame:
    """Return rows as the table that ``read`` makes."""
    names = [field.name for field in fields(Row)]
    columns = zip(*([getattr(row, name) for name in names] for row in rows), strict=True)
    return pd.DataFrame(dict(zip(names, columns, strict=False)), columns=names, dtype=object)
