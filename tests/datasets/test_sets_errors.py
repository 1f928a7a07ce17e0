"""Data sets that are incomplete or damaged: one clear error that names file and row."""

import os
import pickle
from pathlib import Path

import pandas as pd
import pytest

from clipdiff.datasets.base import DATASETS, DatasetFolder
from clipdiff.datasets.reading.pickles import read_pickle
from clipdiff.errors import DataError

ALL = {"train": None, "validation": None, "test": None}
AWA2 = "Animals_with_Attributes2"
CUB = "CUB_200_2011"
FOLDERS = [kind for kind in DATASETS.kinds if issubclass(DATASETS.of(kind), DatasetFolder)]


def read_set(kind: str, root: Path, counts: dict[str, int | None], seed: int) -> pd.DataFrame:
    return DATASETS.make({"kind": kind, "root": str(root)}).read_splits(counts, seed)


def replace_line(path: Path, row: int, text: str | None) -> None:
    rows = path.read_text().splitlines()
    rows[row : row + 1] = [] if text is None else [text]
    path.write_text("\n".join(rows) + "\n")


@pytest.mark.parametrize(
    ("kind", "file", "row", "text", "expected"),
    [
        ("awa2", f"{AWA2}/classes.txt", 1, "x grizzly", "classes.txt, row 1: got 'x grizzly'"),
        ("awa2", f"{AWA2}/classes.txt", 1, "1 zebra", "row 1: number 1 stands there twice"),
        ("awa2", f"{AWA2}/testclasses.txt", 0, "mouze", "row 0: 'mouze' is no class .*'mouse'"),
        ("awa2", f"{AWA2}/predicate-matrix-binary.txt", 2, "1 0 1", "row 2: expected 4 times"),
        ("awa2", f"{AWA2}/predicate-matrix-binary.txt", 0, None, "3 rows, expected 4"),
        ("cub200", f"{CUB}/image_class_labels.txt", 11, None, "11 rows, 1 of 12 listed images"),
        ("cub200", f"{CUB}/image_class_labels.txt", 4, "5 9", "row 4: class 9 is not in classes"),
        ("cub200", f"{CUB}/train_test_split.txt", 3, "4 yes", "row 3: got 'yes'"),
        ("cub200", f"{CUB}/images.txt", 2, "3 no/image.jpg", "images.txt, row 2: no such image"),
        ("cub200", f"{CUB}/attributes/image_attribute_labels.txt", 1, "2 9 1 4", "row 1: attrib"),
        ("food101", "food-101/meta/labels.txt", 1, None, "labels.txt: 1 rows, expected 2"),
        ("food101", "food-101/meta/test.txt", 1, "pie/9", "test.txt, row 1: 'pie' is no class"),
        ("food101", "food-101/meta/test.txt", 1, "apple_pie/x", "row 1: no such image"),
        ("sun397", "SUN397/ClassName.txt", 2, "/z/zoo", "ClassName.txt: lacks the class"),
        ("webdataset", "classnames.txt", 1, None, "0.tar, row 1: class 1, classnames.txt has 1"),
        ("webdataset", "test/nshards.txt", 0, "3", "nshards.txt: says 3 shards, 2 are there"),
        ("coco", "annotations/captions_val2017.json", 0, "{", "captions_val2017.json: not whole"),
        ("coco", "annotations/captions_val2017.json", 0, '{"images": []}', "lacks .'annotations'"),
    ],
)  # fmt: skip
def test_bad_lists(tmp_path: Path, write, kind, file, row, text, expected) -> None:
    write[kind](tmp_path)
    replace_line(tmp_path / file, row, text)
    with pytest.raises(DataError, match=expected):
        read_set(kind, tmp_path, ALL, 0)


@pytest.mark.parametrize("kind", FOLDERS)
def test_an_empty_root_says_what_to_download(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError, match=f"{kind} lacks .*; download ") as caught:
        read_set(kind, tmp_path, ALL, 0)
    assert DATASETS.of(kind).page in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "pattern", "expected"),
    [
        ("coco", "train2017/*20.jpg", "captions_train2017.json, row 11: .*20.jpg is not a readab"),
        ("awa2", f"{AWA2}/JPEGImages/mouse/*2.jpg", "testclasses.txt, row 0: .*mouse_10002.jpg"),
        ("flowers102", "jpg/image_00005.jpg", "setid.mat, row 2: .*image_00005.jpg is not a reada"),
        ("eurosat", "2750/River/River_2.jpg", "row 41: .*River_2.jpg is not a readable image"),
        ("folder", "val/owl/1.png", "val, row 1: .*1.png is not a readable image"),
    ],
)
def test_unreadable_images(tmp_path: Path, write, kind, pattern, expected) -> None:
    write[kind](tmp_path)
    next(tmp_path.glob(pattern)).write_bytes(b"not an image")
    with pytest.raises(DataError, match=expected):
        read_set(kind, tmp_path, ALL, 0)


def test_flowers_numbers_out_of_range(tmp_path: Path, write) -> None:
    from scipy.io import savemat

    write["flowers102"](tmp_path)
    savemat(tmp_path / "imagelabels.mat", {"labels": [[1, 103]]})
    with pytest.raises(DataError, match=r"imagelabels.mat, row 1: class 103, expected 1 to 102"):
        read_set("flowers102", tmp_path, ALL, 0)
    savemat(tmp_path / "imagelabels.mat", {"labels": [[1, 2]]})
    with pytest.raises(DataError, match=r"setid.mat, row 0 of valid: image 4, .* of 2"):
        read_set("flowers102", tmp_path, ALL, 0)
    (tmp_path / "imagelabels.mat").write_bytes(b"MATLAB no more")
    with pytest.raises(DataError, match=r"imagelabels.mat: not read as a MATLAB file"):
        read_set("flowers102", tmp_path, ALL, 0)


def test_damaged_shard(tmp_path: Path, write) -> None:
    write["webdataset"](tmp_path)
    shard = tmp_path / "test/1.tar"
    shard.write_bytes(shard.read_bytes()[:700])
    with pytest.raises(DataError, match=r"1.tar: not a whole tar file"):
        read_set("webdataset", tmp_path, ALL, 0)


def test_cifar_counts_and_labels(tmp_path: Path, write, write_pickle) -> None:
    write["cifar10"](tmp_path)
    path = tmp_path / "cifar-10-batches-py/test_batch"
    whole = path.read_bytes()
    facts = read_pickle(path, ("data", "labels"))
    for changed, expected in (
        ({"labels": facts["labels"][:-1]}, "test_batch: 11 rows, expected 12"),
        ({"labels": [*facts["labels"][:-1], 10]}, "test_batch, row 11: label 10, of 10 classes"),
        ({"data": facts["data"][:, :-1]}, r"test_batch: data are \(12, 3071\)"),
    ):
        write_pickle(path, facts | changed)
        with pytest.raises(DataError, match=expected):
            read_set("cifar10", tmp_path, ALL, 0)
    path.write_bytes(whole[:-50])
    with pytest.raises(DataError, match=r"test_batch: not read as a pickle of arrays"):
        read_set("cifar10", tmp_path, ALL, 0)
    write_pickle(path, {"data": 1})
    with pytest.raises(DataError, match=r"test_batch: lacks \['labels'\]"):
        read_set("cifar10", tmp_path, ALL, 0)


class Runs:
    """Runs a command when it is unpickled."""

    def __init__(self, proof: Path):
        self.proof = proof

    def __reduce__(self):
        return os.mkdir, (str(self.proof),)


class Looks(Runs):
    """The same by a name looked up in builtins."""

    def __reduce__(self):
        return eval, (f"__import__('os').mkdir({str(self.proof)!r})",)


@pytest.mark.parametrize("attack", [Runs, Looks])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_runs_nothing(tmp_path: Path, attack, protocol: int) -> None:
    path, proof = tmp_path / "test_batch", tmp_path / "proof"
    path.write_bytes(pickle.dumps({"data": attack(proof), "labels": []}, protocol))
    with pytest.raises(DataError, match=r"it asks for \S+\.(mkdir|eval), which no image needs"):
        read_pickle(path, ("data", "labels"))
    assert not proof.exists()
    with open(path, "rb") as stream:
        pickle.load(stream)
    assert proof.exists()  # it is malicious indeed
