"""Caltech-UCSD Birds 200-2011 (Wah 2011), with ten captions an image (Reed 2016) where present."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from clipdiff.datasets.base import DatasetFolder
from clipdiff.datasets.reading.lists import read_flags, read_lines, read_numbered, readable
from clipdiff.datasets.reading.records import ImageRecord, table_of
from clipdiff.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

CAPTIONS = ("text_c10", "../text_c10", "../cvpr2016_cub/text_c10")
ATTRIBUTE_NAMES = ("attributes/attributes.txt", "../attributes.txt", "attributes.txt")
LABELS = "attributes/image_attribute_labels.txt"
PROBABLY = 3  # certainty 3 is "probably", 4 "definitely"; 1 is "not visible", 2 "guessing"


class Cub200(DatasetFolder):
    """Caltech-UCSD Birds."""

    kind: Literal["cub200"] = "cub200"

    needs: ClassVar[tuple[str, ...]] = (
        "images.txt",
        "image_class_labels.txt",
        "train_test_split.txt",
        "classes.txt",
        "images",
    )
    page: ClassVar[str] = "Caltech-UCSD Birds-200-2011 (Perona Lab, Caltech)"
    archives: ClassVar[str] = (
        "CUB_200_2011.tgz (1.1 GB); for captions text_c10 of `Learning Deep Representations of "
        "Fine-Grained Visual Descriptions` (Reed 2016)"
    )
    licence: ClassVar[str] = "Caltech-UCSD Birds-200-2011, data set page (non-commercial research)"
    folders: ClassVar[tuple[str, ...]] = ("CUB_200_2011",)
    extras: ClassVar[tuple[str, ...]] = (*CAPTIONS, *ATTRIBUTE_NAMES, LABELS)

    def read(self, root: Path, seed: int) -> "pd.DataFrame":
        """Read all images; of the training ones a tenth, at random, is ``validation``.

        Attributes are those of which workers marked just one value, such as ``has_wing_color``.
        """
        rng = np.random.default_rng(seed)
        listing = root / "images.txt"
        images = read_numbered(listing)
        classes = read_numbered(root / "classes.txt")
        labels_path = root / "image_class_labels.txt"
        labels = read_flags(labels_path, images)
        training = read_flags(root / "train_test_split.txt", images)
        attributes = _attributes(root)
        captions = _first(root, CAPTIONS)
        records = []
        for row, (number, name) in enumerate(images.items()):
            if labels[number] not in classes:
                raise DataError(
                    f"{labels_path}, row {row}: class {labels[number]} is not in classes.txt"
                )
            part = "validation" if rng.random() < 0.1 else "train"
            split = part if training[number] else "test"
            records.append(
                ImageRecord(
                    split,
                    listing,
                    row,
                    path=str(root / "images" / name),
                    caption=None if captions is None else _caption(captions, name, rng),
                    label=class_name(classes[labels[number]]),
                    attributes=attributes.get(number),
                )
            )
        return table_of(records)


def class_name(entry: str) -> str:
    """Return ``Black footed Albatross`` for ``001.Black_footed_Albatross``."""
    return readable(entry.partition(".")[2] or entry)


def _caption(folder: Path, name: str, rng: np.random.Generator) -> str:
    path = (folder / name).with_suffix(".txt")
    texts = [line for line in read_lines(path) if line]
    if not texts:
        raise DataError(f"{path}: no caption in it; unpack its archive again")
    return texts[rng.integers(len(texts))]


def _attributes(root: Path) -> dict[int, dict[str, str]]:
    """Return image number -> attribute -> value, of what was marked with some certainty."""
    names_path, path = _first(root, ATTRIBUTE_NAMES), root / LABELS
    if names_path is None or not path.is_file():
        return {}
    names = read_numbered(names_path)
    marks: dict[int, dict[str, list[str]]] = {}
    for row, line in enumerate(read_lines(path)):
        cells = line.split()[:4]  # a few rows of the published file have cells too many after these
        if len(cells) < 4 or not all(cell.isdigit() for cell in cells):
            raise DataError(f"{path}, row {row}: got {line!r}, expected four whole numbers first")
        image, attribute, present, certainty = map(int, cells)
        if attribute not in names:
            raise DataError(f"{path}, row {row}: attribute {attribute} is not in {names_path}")
        if present and certainty >= PROBABLY:
            name, _, value = names[attribute].partition("::")
            marks.setdefault(image, {}).setdefault(name, []).append(readable(value))
    return {
        image: {name: values[0] for name, values in own.items() if len(values) == 1}
        for image, own in marks.items()
    }


def _first(root: Path, names: tuple[str, ...]) -> Path | None:
    return next((root / name for name in names if (root / name).exists()), None)
