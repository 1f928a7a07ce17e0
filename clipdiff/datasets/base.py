"""What every data set is made of: how it is configured, read, looked at and described."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clipdiff.datasets.reading.records import check_image
from clipdiff.errors import ConfigError, DataError
from clipdiff.registry import Entry, Registry

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("image", "path", "caption", "split", "label", "attributes")
NAMED_AT_ONCE = 8  # missing files named in one finding


class DatasetEntry(Entry):
    """Images to train on (``captions``), to evaluate on (``read_splits``), or both."""

    room: ClassVar[str] = "clipdiff.datasets"

    trains: ClassVar[bool] = False
    """Whether it has captions to train on."""
    evaluates: ClassVar[bool] = False
    """Whether it can be an evaluation set."""

    def captions(self, counts: Mapping[str, int], seed: int) -> "pd.DataFrame":
        """Return the images to train on, and those of the held-out splits that come with them.

        Args:
            counts: most images of ``train``, ``validation`` and ``test``; a set whose splits its
                user made keeps all of them.
            seed: of all draws.

        Returns:
            A distinct ``image_id`` and the columns of :meth:`read_splits`, all with captions; a
            column ``dataset`` where splits have classes of their own.

        Raises:
            ConfigError: it has no captions to train on.
            DataError: it is incomplete or damaged (names file and row).
        """
        raise ConfigError(f"data.source: '{self.kind}' has no captions to train on")

    def read_splits(self, counts: Mapping[str, int | None], seed: int) -> "pd.DataFrame":
        """Read some of the splits ``train``, ``validation`` and ``test``.

        Args:
            counts: the splits, each with the most images to draw at random (None: all).
            seed: of all draws.

        Returns:
            The columns ``image`` (encoded) or ``path``, ``caption``, ``split``, ``label`` (the
            class by its name, in plain words) and ``attributes`` (JSON), splits in the order of
            ``counts``.

        Raises:
            ConfigError: it can't be evaluated on.
            DataError: a file is missing or contradicts another, or an image that was drawn is
                missing or unreadable (names file and row).
        """
        raise ConfigError(f"data.evaluation: '{self.kind}' can't be evaluated on")

    def findings(self) -> Iterator[tuple[bool, str]]:
        """Yield whether it is in place, and what a user has to know about it."""
        yield True, f"{self.kind} needs no download"


class DatasetFolder(DatasetEntry):
    """A data set in a folder, as its publishers pack it.

    The class attributes say what there has to be under the root, and what ``clipdiff data check``
    says about it. A subclass defines ``read``.
    """

    evaluates: ClassVar[bool] = True

    needs: ClassVar[tuple[str, ...]] = ()
    """Files and folders that must lie under the root; a ``*`` stands for any name."""
    page: ClassVar[str] = ""
    """Name of the official page."""
    archives: ClassVar[str] = ""
    """What to download there."""
    licence: ClassVar[str] = ""
    """Name of the page or file that states the terms."""
    folders: ClassVar[tuple[str, ...]] = ()
    """Folders to which archives unpack; the root may hold one of them or be one."""
    extras: ClassVar[tuple[str, ...]] = ()
    """Optional files, which add captions or attributes."""

    root: str = Field(description="folder into which its archives were unpacked")

    def read(self, root: Path, seed: int) -> "pd.DataFrame":
        """Read all images, one row each, as in :func:`clipdiff.datasets.reading.records.table_of`.

        Args:
            root: the folder that holds the data (``place``).
            seed: draws what the publishers did not fix: one caption of several, and splits.

        Raises:
            DataError: a file is missing or damaged (names file and row).
        """
        raise NotImplementedError(f"{type(self).__name__} reads nothing")

    def captions(self, counts: Mapping[str, int], seed: int) -> "pd.DataFrame":
        """Return the images of all three splits, if the set trains."""
        if not self.trains:
            return super().captions(counts, seed)
        table = self.read_splits(counts, seed)
        return table.assign(image_id=range(len(table)))

    def read_splits(self, counts: Mapping[str, int | None], seed: int) -> "pd.DataFrame":
        """Read all, draw, then make and check the images that are kept."""
        import pandas as pd

        if missing := self.missing:
            raise DataError(
                f"{self.root}: {self.kind} lacks {', '.join(missing)}; download {self.archives} "
                f"from {self.page} and unpack there, or correct the path; see `clipdiff data check`"
            )
        rows = self.read(self.place, seed)
        parts = [
            _draw(rows[rows["split"] == split], count, seed) for split, count in counts.items()
        ]
        table = pd.concat(parts, ignore_index=True)
        images = [None if give is None else give() for give in table["image"]]
        table["image"] = pd.Series(images, dtype=object)
        for _, row in table.iterrows():
            check_image(row["path"], f"{row['listing']}, row {row['row']}", row["image"])
        texts = [json.dumps(cell) if cell else None for cell in table["attributes"]]
        return table.assign(attributes=pd.Series(texts))[list(COLUMNS)]

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
        """The paths that are missing; empty if the set is in place."""
        place = self.place
        return [str(place / need) for need in self.missing_in(place)]

    def findings(self) -> Iterator[tuple[bool, str]]:
        """Yield one finding: its place and size, or what is missing and where to get it."""
        place = self.place
        title, terms = f"{self.kind} in {place}", f"\n  licence: {self.licence}"
        if missing := self.missing_in(place):
            lacks = "nothing of it is there"
            if len(missing) < len(self.needs):
                rest = len(missing) - NAMED_AT_ONCE
                more = f" and {rest} more" if rest > 0 else ""
                lacks = f"lacks {', '.join(missing[:NAMED_AT_ONCE])}{more}"
            get = f"\n  download: {self.archives}\n  from: {self.page}"
            yield False, f"{title}: {lacks}{get}\n  unpack into: {self.root}{terms}"
            return
        extras = [extra for extra in self.extras if (place / extra).exists()]
        also = f", with {', '.join(extras)}" if extras else ""
        yield True, f"{title}: {_size(place)}{also}{terms}"


DATASETS = Registry(DatasetEntry)


def _draw(part: "pd.DataFrame", count: int | None, seed: int) -> "pd.DataFrame":
    """Keep ``count`` rows at random, in their order."""
    if count is None or len(part) <= count:
        return part
    return part.sample(count, random_state=seed).sort_index()


def _size(folder: Path) -> str:
    """Return the size of a folder's files, in the largest unit that fits."""
    size = float(
        sum(os.path.getsize(f"{at}/{name}") for at, _, names in os.walk(folder) for name in names)
    )
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
