"""webdataset shards, as CLIP_benchmark keeps data sets: ``test/0.tar`` and ``classnames.txt``.

A sample is what shares a name up to its first dot: an image, with ``.cls`` (class number),
``.txt`` (captions, one a line) or ``.json`` (``caption``, ``label`` and ``attributes``).
"""

import json
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from clipdiff.datasets.base import DatasetFolder
from clipdiff.datasets.reading.class_folders import SPLIT_FOLDERS
from clipdiff.datasets.reading.lists import read_lines
from clipdiff.datasets.reading.records import SUFFIXES, ImageRecord, table_of
from clipdiff.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

Give = Callable[[], bytes]
Sample = dict[str, Give]  # extension, with its dot -> what gives the content


class Webdataset(DatasetFolder):
    """Shards of images with classes, captions or attributes."""

    kind: Literal["webdataset"] = "webdataset"

    needs: ClassVar[tuple[str, ...]] = ("**/*.tar",)
    page: ClassVar[str] = "the data set's own, or clip-benchmark on the Hugging Face hub"
    archives: ClassVar[str] = "its folder: classnames.txt and test/*.tar"
    licence: ClassVar[str] = "the data set's own"

    def read(self, root: Path, seed: int) -> "pd.DataFrame":
        """Read the shards of folders named for splits; shards in the root itself are ``test``."""
        rng = np.random.default_rng(seed)
        path = root / "classnames.txt"
        names = read_lines(path) if path.is_file() else []
        splits = {root / name: split for name, split in SPLIT_FOLDERS.items()}
        folders = {at: split for at, split in splits.items() if at.is_dir()}
        records = []
        for folder, split in (folders or {root: "test"}).items():
            for shard in _shards(folder):
                for row, sample in enumerate(_samples(shard)):
                    records.append(_record(split, shard, row, sample, names, rng))
        if not records:
            raise DataError(f"{root}: no sample in its shards (*.tar)")
        return table_of(records)


def _shards(folder: Path) -> list[Path]:
    """Return the shards in order; ``nshards.txt``, if present, says how many."""
    shards = sorted(folder.glob("*.tar"), key=lambda path: (len(path.stem), path.stem))
    count = folder / "nshards.txt"
    if count.is_file():
        expected = "".join(read_lines(count))
        if expected != str(len(shards)):
            raise DataError(f"{count}: says {expected} shards, {len(shards)} are there")
    return shards


def _samples(shard: Path) -> Iterator[Sample]:
    try:
        with tarfile.open(shard, "r:") as archive:  # uncompressed, so that an image has a place
            files = ((PurePosixPath(file.name), file) for file in archive if file.isfile())
            for _, group in groupby(files, key=lambda pair: str(_stem(pair[0]))):
                yield {
                    path.name[len(_stem(path).name) :].lower(): partial(
                        _content, shard, file.offset_data, file.size
                    )
                    for path, file in group
                }
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"{shard}: not a whole tar file ({error}); download it again") from error


def _content(shard: Path, offset: int, size: int) -> bytes:
    with open(shard, "rb") as stream:
        stream.seek(offset)
        return stream.read(size)


def _stem(path: PurePosixPath) -> PurePosixPath:
    return path.with_name(path.name.partition(".")[0] or path.name)


def _record(
    split: str, shard: Path, row: int, sample: Sample, names: list[str], rng: np.random.Generator
) -> ImageRecord:
    image = next((sample[ending] for ending in SUFFIXES if ending in sample), None)
    if image is None:
        raise DataError(f"{shard}, row {row}: no image, only {sorted(sample)}")
    try:
        facts = json.loads(sample[".json"]()) if ".json" in sample else {}
        lines = sample[".txt"]().decode().splitlines() if ".txt" in sample else []
        texts = [line.strip() for line in lines if line.strip()]
        captions: list[str | None] = [*texts] or [facts.get("caption")]
        number = int(sample[".cls"]()) if ".cls" in sample else None
    except (ValueError, AttributeError) as error:
        raise DataError(f"{shard}, row {row}: its texts can't be read ({error})") from error
    if number is not None and not 0 <= number < len(names):
        raise DataError(f"{shard}, row {row}: class {number}, classnames.txt has {len(names)}")
    return ImageRecord(
        split,
        shard,
        row,
        image=image,
        caption=captions[rng.integers(len(captions))],
        label=facts.get("label") if number is None else names[number],
        attributes=facts.get("attributes"),
    )
