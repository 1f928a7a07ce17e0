"""EuroSAT (Helber 2019), RGB version: one folder a class, no published split."""

from pathlib import Path

import pandas as pd

from clipdiff.datasets.base import DataSet
from clipdiff.datasets.folder import class_rows, with_random_test
from clipdiff.errors import DataError, did_you_mean

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


def read(root: Path, seed: int) -> pd.DataFrame:
    """Read all pictures; of each class a tenth is ``test``, a tenth ``validation``, at random."""

    def label(folder: str) -> str:
        if folder not in CLASSES:
            raise DataError(
                f"{root}: folder '{folder}' is no class of EuroSAT{did_you_mean(folder, CLASSES)}"
            )
        return CLASSES[folder]

    return with_random_test(class_rows(root, "train", label), seed)


SET = DataSet(
    read=read,
    needs=tuple(CLASSES),
    page="EuroSAT (github.com/phelber/EuroSAT)",
    archives="the RGB archive, EuroSAT.zip or EuroSAT_RGB.zip (90 MB)",
    licence="EuroSAT, LICENSE (MIT)",
    folders=("2750", "EuroSAT_RGB", "eurosat/2750", "EuroSAT/2750"),
)
