"""webdataset shards, as CLIP_benchmark keeps data sets: ``test/0.tar`` and ``classnames.txt``.

A sample is what shares a name up to its first dot: a picture, with ``.cls`` (class number),
``.txt`` (captions, one a line) or ``.json`` (``caption``, ``label`` and ``attributes``).
"""

import json
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from clipdiff.datasets.base import PICTURES, DataSet, Row, read_lines, table_of
from clipdiff.errors import DataError

SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
Give = Callable[[], bytes]
Sample = dict[str, Give]  # extension, with its dot -> what gives the content


def read(root: Path, seed: int) -> pd.DataFrame:
    """Read the shards of the folders named for splits; shards in the root itself are ``test``."""
    rng = np.random.default_rng(seed)
    path = root / "classnames.txt"
    names = read_lines(path) if path.is_file() else []
    named = {root / name: split for name, split in SPLITS.items() if (root / name).is_dir()}
    rows = []
    for folder, split in (named or {root: "test"}).items():
        for shard in _shards(folder):
            for row, sample in enumerate(_samples(shard)):
                rows.append(_row(split, shard, row, sample, names, rng))
    if not rows:
        raise DataError(f"{root}: no sample in its shards (*.tar)")
    return table_of(rows)


def _shards(folder: Path) -> list[Path]:
    """Return the shards in order; ``nshards.txt``, where it is there, says how many."""
    shards = sorted(folder.glob("*.tar"), key=lambda path: (len(path.stem), path.stem))
    counted = folder / "nshards.txt"
    if counted.is_file():
        expected = "".join(read_lines(counted))
        if expected != str(len(shards)):
            raise DataError(f"{counted}: says {expected} shards, {len(shards)} are there")
    return shards


def _samples(shard: Path) -> Iterator[Sample]:
    try:
        with tarfile.open(shard, "r:") as archive:  # uncompressed, so that a picture has a place
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


def _row(
    split: str, shard: Path, row: int, sample: Sample, names: list[str], rng: np.random.Generator
) -> Row:
    picture = next((sample[ending] for ending in PICTURES if ending in sample), None)
    if picture is None:
        raise DataError(f"{shard}, row {row}: no picture, only {sorted(sample)}")
    try:
        facts = json.loads(sample[".json"]()) if ".json" in sample else {}
        captions = sample[".txt"]().decode().splitlines() if ".txt" in sample else []
        captions = [line.strip() for line in captions if line.strip()] or [facts.get("caption")]
        number = int(sample[".cls"]()) if ".cls" in sample else None
    except (ValueError, AttributeError) as error:
        raise DataError(f"{shard}, row {row}: its texts can't be read ({error})") from error
    if number is not None and not 0 <= number < len(names):
        raise DataError(f"{shard}, row {row}: class {number}, classnames.txt has {len(names)}")
    return Row(
        split,
        shard,
        row,
        image=picture,
        caption=captions[rng.integers(len(captions))],
        label=facts.get("label") if number is None else names[number],
        attributes=facts.get("attributes"),
    )


SET = DataSet(
    read=read,
    needs=("**/*.tar",),
    page="the data set's own, or clip-benchmark on the Hugging Face hub",
    archives="its folder: classnames.txt and test/*.tar",
    licence="the data set's own",
)
