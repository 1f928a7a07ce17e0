"""A table of your own: images with captions, and the splits that you made."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from clipdiff.datasets.base import DatasetEntry
from clipdiff.datasets.reading.records import check_image
from clipdiff.errors import DataError
from clipdiff.files import read_parquet

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = ("image", "caption", "split")


class Table(DatasetEntry):
    """A CSV or Parquet file of your own.

    Its columns are ``image`` (a path, relative to the table), ``caption`` and ``split`` (``train``
    for finetuning, any other name for evaluation), and optionally ``label`` (class for zero-shot),
    ``attributes`` (a JSON object) and ``dataset`` (splits of one name share their classes; without
    it all do).
    """

    kind: Literal["table"] = "table"
    table: str = Field(
        description="file with columns image, caption, split[, label, attributes, dataset]"
    )

    trains: ClassVar[bool] = True

    def captions(self, counts: Mapping[str, int], seed: int) -> "pd.DataFrame":
        """Return all rows, whatever their splits are.

        Raises:
            DataError: a column is missing, or an image is missing or unreadable (names the row).
        """
        import pandas as pd

        path = Path(self.table)
        table = self._read(path)
        missing = [name for name in REQUIRED if name not in table.columns]
        if missing:
            raise DataError(f"{path}: lacks the columns {missing}; it has {list(table.columns)}")
        images = [(path.parent / str(name)).resolve() for name in table["image"]]
        for row, image in enumerate(images):
            check_image(image, f"{path}, row {row}")
        return pd.DataFrame(
            {
                "image_id": range(len(table)),
                "image": None,
                "path": [str(image) for image in images],
                "caption": table["caption"],
                "split": table["split"],
                "dataset": table.get("dataset"),
                "label": table.get("label"),
                "attributes": table.get("attributes"),
            }
        )

    def _read(self, path: Path) -> "pd.DataFrame":
        import pandas as pd

        if path.suffix != ".csv":
            return read_parquet(path)
        if not path.is_file():
            raise DataError(f"{path}: no such file; set data.table to your CSV or Parquet file")
        return pd.read_csv(path, dtype={"caption": str, "label": str})

    def findings(self) -> Iterator[tuple[bool, str]]:
        """Yield whether the file is there."""
        yield Path(self.table).is_file(), self.table
