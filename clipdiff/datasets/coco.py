"""COCO captions (Lin 2014, Chen 2015): folders of images and captions json files.

With ``dataset_coco.json`` (the Karpathy split) its splits hold; else the training images train
and the validation images are halved at random into ``validation`` and ``test``.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from clipdiff.datasets.base import DatasetFolder
from clipdiff.datasets.reading.records import ImageRecord, table_of
from clipdiff.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

KARPATHY = ("dataset_coco.json", "annotations/dataset_coco.json")
KARPATHY_SPLITS = {"train": "train", "restval": "train", "val": "validation", "test": "test"}


class Coco(DatasetFolder):
    """COCO with its captions; one of five captions an image is drawn."""

    kind: Literal["coco"] = "coco"

    trains: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = (
        "annotations/captions_train20*.json",
        "annotations/captions_val20*.json",
        "train20*",
        "val20*",
    )
    page: ClassVar[str] = "COCO (cocodataset.org), Download"
    archives: ClassVar[str] = (
        "2017 Train images (18 GB), 2017 Val images (1 GB), 2017 Train/Val annotations (241 MB), "
        "or those of 2014"
    )
    licence: ClassVar[str] = (
        "COCO, Terms of Use (images: their Flickr licences, in the annotations)"
    )
    extras: ClassVar[tuple[str, ...]] = KARPATHY

    def read(self, root: Path, seed: int) -> "pd.DataFrame":
        """Read all images, one caption each, drawn at random."""
        rng = np.random.default_rng(seed)
        for name in KARPATHY:
            if (root / name).is_file():
                return table_of(_karpathy(root, root / name, rng))
        records = []
        for part in ("train", "val"):
            for path in sorted((root / "annotations").glob(f"captions_{part}20*.json")):
                part_records = list(_annotated(root, path, rng))
                if part == "val":
                    halves = rng.permutation(len(part_records)) % 2
                    part_records = [
                        replace(each, split="validation" if half else "test")
                        for each, half in zip(part_records, halves, strict=True)
                    ]
                records += part_records
        return table_of(records)


def _annotated(root: Path, path: Path, rng: np.random.Generator) -> Iterator[ImageRecord]:
    """Yield the images of one ``captions_*.json``, in its order, as ``train``."""
    facts = _read(path, ("images", "annotations"))
    folder = root / path.stem.removeprefix("captions_")
    captions: dict[int, list[str]] = {}
    for row, annotation in enumerate(facts["annotations"]):
        number, caption = _cells(annotation, ("image_id", "caption"), f"{path}, annotation {row}")
        captions.setdefault(number, []).append(caption)
    for row, image in enumerate(facts["images"]):
        number, name = _cells(image, ("id", "file_name"), f"{path}, row {row}")
        yield _record("train", path, row, folder / name, captions.get(number), rng)


def _karpathy(root: Path, path: Path, rng: np.random.Generator) -> Iterator[ImageRecord]:
    keys = ("split", "sentences", "filepath", "filename")
    for row, image in enumerate(_read(path, ("images",))["images"]):
        where = f"{path}, row {row}"
        split, sentences, folder, name = _cells(image, keys, where)
        if split not in KARPATHY_SPLITS:
            raise DataError(f"{where}: split '{split}', expected {', '.join(KARPATHY_SPLITS)}")
        captions = [_cells(sentence, ("raw",), where)[0] for sentence in sentences]
        yield _record(KARPATHY_SPLITS[split], path, row, root / folder / name, captions, rng)


def _cells(entry: dict[str, Any], keys: tuple[str, ...], where: str) -> list[Any]:
    try:
        return [entry[key] for key in keys]
    except (KeyError, TypeError) as error:
        raise DataError(f"{where}: lacks {error}; expected COCO's captions format") from error


def _record(
    split: str,
    listing: Path,
    row: int,
    path: Path,
    captions: list[str] | None,
    rng: np.random.Generator,
) -> ImageRecord:
    if not captions:
        raise DataError(f"{listing}, row {row}: no caption for {path.name}")
    caption = captions[rng.integers(len(captions))]
    return ImageRecord(split, listing, row, path=str(path), caption=" ".join(caption.split()))


def _read(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not whole JSON ({error}); unpack its archive again") from error
    missing = [key for key in keys if not isinstance(facts, dict) or key not in facts]
    if missing:
        raise DataError(f"{path}: lacks {missing}; expected COCO's captions format")
    return facts
