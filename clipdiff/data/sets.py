"""Data sets as they lie on a disk once their archives are unpacked, one module each.

A set's ``read(root, seed)`` returns one row a picture: ``path`` or ``image`` (a function that gives
its bytes, so that only pictures that are kept are ever held or encoded), ``caption``,
``label`` (the class by its name, in plain words), ``split`` (``train``, ``validation``, ``test``),
``attributes`` (a dict), and ``listing`` and ``row``: the file and the row in it that name the
picture, for errors. ``seed`` draws what the publishers did not fix: one caption of several, and
splits where there are none.
"""

import json
from pathlib import Path

import pandas as pd

from clipdiff.data.pictures import check_picture
from clipdiff.data.sets import (
    awa2,
    cifar,
    coco,
    cub200,
    eurosat,
    flowers102,
    folder,
    food101,
    sun397,
    webdataset,
)
from clipdiff.datasets.base import DataSet
from clipdiff.errors import DataError

SETS: dict[str, DataSet] = {
    "coco": coco.SET,
    "awa2": awa2.SET,
    "cub200": cub200.SET,
    "cifar10": cifar.CIFAR10,
    "cifar100": cifar.CIFAR100,
    "flowers102": flowers102.SET,
    "eurosat": eurosat.SET,
    "sun397": sun397.SET,
    "food101": food101.SET,
    "folder": folder.SET,
    "webdataset": webdataset.SET,
}
COLUMNS = ("image", "path", "caption", "split", "label", "attributes")


def read_set(kind: str, root: Path, most: dict[str, int | None], seed: int) -> pd.DataFrame:
    """Read some splits of a data set.

    Args:
        kind: its name in ``SETS``.
        root: folder into which its archives were unpacked.
        most: the splits wanted, each with the most pictures to draw at random (None: all).
        seed: of all draws.

    Returns:
        The columns ``image, path, caption, split, label, attributes`` (JSON) of the captions
        table, splits in the order of ``most``.

    Raises:
        DataError: a file is missing or contradicts another, or a picture that was drawn is missing
            or unreadable (names file and row).
    """
    chosen = SETS[kind]
    if missing := chosen.missing(root):
        raise DataError(
            f"{root}: {kind} lacks {', '.join(missing)}; download {chosen.archives} from "
            f"{chosen.page} and unpack there, or correct the path; see `clipdiff data check`"
        )
    rows = chosen.read(chosen.place(root), seed)
    parts = [_drawn(rows[rows["split"] == split], count, seed) for split, count in most.items()]
    table = pd.concat(parts, ignore_index=True)
    images = [None if give is None else give() for give in table["image"]]
    table["image"] = pd.Series(images, dtype=object)
    for _, row in table.iterrows():
        check_picture(row["path"], f"{row['listing']}, row {row['row']}", row["image"])
    attributes = [json.dumps(cell) if cell else None for cell in table["attributes"]]
    return table.assign(attributes=attributes)[list(COLUMNS)]


def _drawn(part: pd.DataFrame, count: int | None, seed: int) -> pd.DataFrame:
    """Keep ``count`` rows at random, in their order."""
    if count is None or len(part) <= count:
        return part
    return part.sample(count, random_state=seed).sort_index()
