"""EuroSAT (Helber 2019), RGB version: one folder a class, no published split."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from clipdiff.datasets.base import DatasetFolder
from clipdiff.datasets.reading.class_folders import class_records, with_random_test
from clipdiff.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

# The words of Helber 2019 for the folders' names, which the paper's code uses as they are.
CLASSES = {
    "AnnualCrop": "annual crop",
    "Forest": "forest",
    "HerbaceousVegetation": "herbaceous vegetation",
    "Highway": "highway",
    "Industrial": "industrial buildings",
    "Pasture": "pasture",
    "PermanentCrop": "permanent crop",
    "Residential": "residential buildings",
    "River": "river",
    "SeaLake": "sea or lake",
}


class Eurosat(DatasetFolder):
    """EuroSAT's RGB images."""

    kind: Literal["eurosat"] = "eurosat"

    needs: ClassVar[tuple[str, ...]] = tuple(CLASSES)
    page: ClassVar[str] = "EuroSAT (github.com/phelber/EuroSAT)"
    archives: ClassVar[str] = "the RGB archive, EuroSAT.zip or EuroSAT_RGB.zip (90 MB)"
    licence: ClassVar[str] = "EuroSAT, LICENSE (MIT)"
    folders: ClassVar[tuple[str, ...]] = ("2750", "EuroSAT_RGB", "eurosat/2750", "EuroSAT/2750")

    def read(self, root: Path, seed: int) -> "pd.DataFrame":
        """Read all images; of each class a tenth is ``test``, a tenth ``validation``."""

        def label(folder: str) -> str:
            if folder not in CLASSES:
                hint = did_you_mean(folder, CLASSES)
                raise DataError(f"{root}: folder '{folder}' is no class of EuroSAT{hint}")
            return CLASSES[folder]

        return with_random_test(class_records(root, "train", label), seed)
