"""Small data sets in the layouts in which their publishers pack them."""

import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

AWA2_PREDICATES = ["black", "big", "small", "stripes"]
AWA2_CLASSES = {  # in the order of classes.txt: test classes are not the first
    "antelope": "0101",
    "grizzly+bear": "1100",
    "zebra": "1101",
    "mouse": "0010",
}
CUB_CLASSES = ["001.Black_footed_Albatross", "002.American_Crow"]
CIFAR10 = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
]  # fmt: skip


def image(path: Path, shade: int = 0) -> Path:
    """Write a tiny image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (shade % 256, 0, 0)).save(path)
    return path


def lines(path: Path, rows: list[str]) -> None:
    """Write a list file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows))


class Python2Pickler(pickle._Pickler):
    """Pickles as Python 2 and its numpy did: byte strings, and ``numpy.core.multiarray``."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_global(self, obj, name=None):
        if getattr(obj, "__name__", "") == "_reconstruct":
            self.write(b"cnumpy.core.multiarray\n_reconstruct\n")
            self.memoize(obj)
        else:
            super().save_global(obj, name)

    def save_text(self, obj):
        data = obj if isinstance(obj, bytes) else obj.encode("latin1")
        self.write(pickle.BINSTRING + len(data).to_bytes(4, "little") + data)
        self.memoize(obj)

    for kind in (bytes, str):
        dispatch[kind] = save_text


def python2_pickle(path: Path, value: object) -> None:
    """Write a pickle of protocol 2 as Python 2 wrote it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as stream:
        Python2Pickler(stream, protocol=2).dump(value)


def write_coco(root: Path) -> None:
    for part, first, count in (("train", 9, 12), ("val", 139, 8)):
        ids = range(first, first + count)
        images = [{"id": i, "file_name": f"{i:012d}.jpg", "license": 3} for i in ids]
        captions = [
            {"image_id": i, "id": 5 * i + k, "caption": f"A photo {k}\n of thing {i}. "}
            for k in range(5)
            for i in reversed(ids)
        ]
        facts = {"info": {}, "licenses": [], "images": images, "annotations": captions}
        path = root / f"annotations/captions_{part}2017.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(facts))
        for i in ids:
            image(root / f"{part}2017/{i:012d}.jpg", i)


def write_awa2(root: Path) -> None:
    root = root / "Animals_with_Attributes2"
    names = list(AWA2_CLASSES)
    lines(root / "classes.txt", [f"{n:6d}\t{name}" for n, name in enumerate(names, 1)])
    lines(root / "predicates.txt", [f"{n:6d}\t{name}" for n, name in enumerate(AWA2_PREDICATES, 1)])
    lines(
        root / "predicate-matrix-binary.txt",
        [" ".join(AWA2_CLASSES[name]) + " " for name in names],
    )
    lines(root / "trainclasses.txt", ["antelope", "zebra"])
    lines(root / "testclasses.txt", ["mouse", "grizzly+bear"])
    for name in names:
        for number in range(10001, 10004):
            image(root / f"JPEGImages/{name}/{name}_{number}.jpg", number)


def write_cub200(root: Path) -> None:
    base = root / "CUB_200_2011"
    names = [f"{c}/{c[4:]}_{k:04d}.jpg" for c in CUB_CLASSES for k in range(6)]
    numbered = dict(enumerate(names, 1))
    lines(base / "images.txt", [f"{i} {name}" for i, name in numbered.items()])
    lines(base / "image_class_labels.txt", [f"{i} {1 + (i > 6)}" for i in numbered])
    lines(base / "train_test_split.txt", [f"{i} {i % 2}" for i in numbered])
    lines(base / "classes.txt", [f"{i} {name}" for i, name in enumerate(CUB_CLASSES, 1)])
    lines(
        root / "attributes.txt",
        ["1 has_wing_color::dark_blue", "2 has_wing_color::red", "3 has_size::small_(5_-_9_in)"],
    )
    marks = [f"{i} 1 1 4 12.5" for i in numbered] + ["2 2 0 3 1.0", "2 3 1 3 0 2.0", "4 2 1 3 1.0"]
    lines(base / "attributes/image_attribute_labels.txt", marks)
    for name in names:
        image(base / "images" / name)


def write_cub_captions(root: Path) -> None:
    for path in sorted((root / "CUB_200_2011/images").rglob("*.jpg")):
        name = path.relative_to(root / "CUB_200_2011/images").with_suffix(".txt")
        lines(root / "cvpr2016_cub/text_c10" / name, [f"bird {path.stem}, {k}" for k in range(10)])


def cifar_batch(count: int, key: str, classes: int, seed: int) -> dict:
    """Return what one file holds: red planes that say the label."""
    labels = [int(n) % classes for n in np.random.default_rng(seed).permutation(count)]
    data = np.zeros((count, 3, 32, 32), dtype=np.uint8)
    data[:, 0] = np.array(labels, dtype=np.uint8)[:, None, None]
    data[:, 2, 31, 0] = 200  # the lower left corner is blue
    return {
        "batch_label": "a batch",
        key: labels,
        "data": data.reshape(count, 3072),
        "filenames": [f"x_{n}.png" for n in range(count)],
    }


def write_cifar10(root: Path) -> None:
    base = root / "cifar-10-batches-py"
    for number in range(1, 6):
        python2_pickle(base / f"data_batch_{number}", cifar_batch(6, "labels", 10, number))
    python2_pickle(base / "test_batch", cifar_batch(12, "labels", 10, 0))
    meta = {"num_cases_per_batch": 9, "label_names": CIFAR10, "num_vis": 3072}
    python2_pickle(base / "batches.meta", meta)


def write_cifar100(root: Path) -> None:
    base = root / "cifar-100-python"
    for part, count in (("train", 40), ("test", 9)):
        python2_pickle(base / part, cifar_batch(count, "fine_labels", 4, count))
    names = ["apple", "aquarium_fish", "baby", "bear"]
    python2_pickle(base / "meta", {"fine_label_names": names, "coarse_label_names": ["x"]})


def write_flowers102(root: Path) -> None:
    labels = np.array([[3, 8, 5, 7, 11, 20, 102, 1]], dtype=np.uint8)
    root.mkdir(exist_ok=True)
    savemat(root / "imagelabels.mat", {"labels": labels})
    splits = {"trnid": [[1, 2]], "valid": [[4]], "tstid": [[8, 3, 5, 6, 7]]}
    savemat(root / "setid.mat", {k: np.array(v, dtype=np.uint16) for k, v in splits.items()})
    for number in range(1, 9):
        image(root / f"jpg/image_{number:05d}.jpg", number)


def write_eurosat(root: Path) -> None:
    for name in (
        "AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture",
        "PermanentCrop", "Residential", "River", "SeaLake",
    ):  # fmt: skip
        for number in range(1, 6):
            image(root / f"2750/{name}/{name}_{number}.jpg", number)


def write_sun397(root: Path) -> None:
    names = ["/a/abbey", "/a/apartment_building/outdoor", "/y/yard"]
    lines(root / "SUN397/ClassName.txt", names)
    for name in names:
        for number in range(10):
            image(root / f"SUN397{name}/sun_{number:02d}abc.jpg", number)


def write_food101(root: Path) -> None:
    base, classes = root / "food-101", ["apple_pie", "hot_and_sour_soup"]
    lines(base / "meta/classes.txt", classes)
    lines(base / "meta/labels.txt", ["Apple pie", "Hot and sour soup"])
    for part, numbers in (("train", range(8)), ("test", range(8, 11))):
        lines(base / f"meta/{part}.txt", [f"{c}/{n}" for c in classes for n in numbers])
    for name in classes:
        for number in range(11):
            image(base / f"images/{name}/{number}.jpg", number)


def write_folder(root: Path) -> None:
    for split in ("train", "val", "test"):
        for name in ("red_fox", "owl"):
            for number in range(3):
                image(root / f"{split}/{name}/{number}.png", number)


def write_webdataset(root: Path) -> None:
    lines(root / "classnames.txt", ["aeroplane", "potted plant"])
    lines(root / "test/nshards.txt", ["2"])
    for shard in range(2):
        with tarfile.open(root / f"test/{shard}.tar", "w") as archive:
            for number in range(3):
                stream = io.BytesIO()
                Image.new("RGB", (8, 8)).save(stream, "WEBP" if shard else "JPEG")
                files = {"cls": str(number % 2).encode()}
                if shard:
                    files |= {"json": b'{"attributes": {"size": "small"}}', "txt": b"one\ntwo\n"}
                files["webp" if shard else "jpg"] = stream.getvalue()
                for ending, data in files.items():
                    entry = tarfile.TarInfo(f"s{shard}{number:06d}.{ending}")
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))


WRITERS: dict[str, Callable[[Path], None]] = {
    name.removeprefix("write_"): writer
    for name, writer in list(globals().items())
    if name.startswith("write_") and name != "write_cub_captions"
}


@pytest.fixture
def write() -> dict[str, Callable[[Path], None]]:
    """The functions that write each data set into a root."""
    return WRITERS


@pytest.fixture
def add_cub_captions() -> Callable[[Path], None]:
    """The function that adds the captions archive to a CUB root."""
    return write_cub_captions


@pytest.fixture(name="lines")
def write_lines() -> Callable[[Path, list[str]], None]:
    """The function that writes a list file."""
    return lines


@pytest.fixture
def write_pickle() -> Callable[[Path, object], None]:
    """The function that writes a pickle as Python 2 did."""
    return python2_pickle
