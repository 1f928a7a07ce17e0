"""A CSV file that lists images with a class each."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clipdiff.datasets.base import COLUMNS, DatasetEntry
from clipdiff.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


class Listed(DatasetEntry):
    """Columns ``image`` (a path, relative to the file), ``label``, ``caption`` and ``split``."""

    evaluates: ClassVar[bool] = True

    kind: str = "listed"
    listing: str = Field(description="the CSV file")

    def read_splits(self, counts: Mapping[str, int | None], seed: int) -> "pd.DataFrame":
        """Read the rows of some splits, at random as many as there may be."""
        import pandas as pd

        path = Path(self.listing)
        if not path.is_file():
            raise DataError(f"{path}: no such file; correct the setting listing")
        table = pd.read_csv(path)
        parts = []
        for split, count in counts.items():
            rows = table[table["split"] == split]
            parts.append(
                rows if count is None else rows.sample(min(count, len(rows)), random_state=seed)
            )
        rows = pd.concat(parts, ignore_index=True)
        places = [str((path.parent / name).resolve()) for name in rows["image"]]
        return rows.assign(image=None, path=places, attributes=None)[list(COLUMNS)]

    def findings(self) -> Iterator[tuple[bool, str]]:
        """Say whether the file is there."""
        yield Path(self.listing).is_file(), self.listing
