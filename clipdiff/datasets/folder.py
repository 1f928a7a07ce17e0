"""Any folder of class folders: ``root/CLASS/IMAGE``, or ``root/SPLIT/CLASS/IMAGE``."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from clipdiff.datasets.base import DatasetFolder
from clipdiff.datasets.reading.class_folders import SPLIT_FOLDERS, class_records
from clipdiff.datasets.reading.records import table_of

if TYPE_CHECKING:
    import pandas as pd


class Folder(DatasetFolder):
    """Images of your own, one folder a class."""

    kind: Literal["folder"] = "folder"

    needs: ClassVar[tuple[str, ...]] = ("*/*",)
    page: ClassVar[str] = "your own images"
    archives: ClassVar[str] = "one folder a class"
    licence: ClassVar[str] = "your own"

    def read(self, root: Path, seed: int) -> "pd.DataFrame":
        """Read folders named for splits; where there are none, all images are ``test``."""
        splits = {root / name: split for name, split in SPLIT_FOLDERS.items()}
        folders = [folder for folder in splits if folder.is_dir()]
        if not folders:
            return table_of(class_records(root, "test"))
        return table_of(each for at in folders for each in class_records(at, splits[at]))
