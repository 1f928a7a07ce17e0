"""Data sets in their real layouts: what is read, by which names, and that names are right."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clipdiff.datasets import webdataset
from clipdiff.datasets.base import DATASETS, DatasetFolder
from clipdiff.datasets.eurosat import CLASSES
from clipdiff.datasets.flowers102 import NAMES
from clipdiff.datasets.reading import cifar_batches
from clipdiff.errors import ConfigError

ALL = {"train": None, "validation": None, "test": None}
FIXED = {  # (train, validation, test) where the publishers' files fix them
    "awa2": (6, 0, 6),
    "flowers102": (2, 1, 5),
    "folder": (6, 6, 6),
    "webdataset": (0, 0, 6),
    "eurosat": (30, 10, 10),
    "sun397": (24, 3, 3),
    "coco": (12, 4, 4),
}
FOLDERS = [kind for kind in DATASETS.kinds if issubclass(DATASETS.of(kind), DatasetFolder)]
TEST_ALONE = {"cifar10": (30, 12), "cifar100": (40, 9), "cub200": (6, 6), "food101": (16, 6)}


def read_set(kind: str, root: Path, counts: dict[str, int | None], seed: int) -> pd.DataFrame:
    return DATASETS.make({"kind": kind, "root": str(root)}).read_splits(counts, seed)


@pytest.fixture
def read(tmp_path: Path, write):
    """Write a data set into a root and read all of it."""

    def made(kind: str, seed: int = 0) -> pd.DataFrame:
        write[kind](tmp_path)
        return read_set(kind, tmp_path, ALL, seed)

    return made


def facts(table: pd.DataFrame) -> list[dict]:
    return [json.loads(text) for text in table["attributes"]]


def test_a_writer_for_every_set(write) -> None:
    assert set(write) == set(FOLDERS) == set(FIXED) | set(TEST_ALONE)


def test_what_trains_and_what_is_evaluated_on() -> None:
    trains = {kind for kind in DATASETS.kinds if DATASETS.of(kind).trains}
    evaluates = {kind for kind in DATASETS.kinds if DATASETS.of(kind).evaluates}
    assert trains == {"demo", "table", "coco"}
    assert evaluates == set(FOLDERS)
    with pytest.raises(ConfigError, match="'cifar10' has no captions to train on"):
        DATASETS.make({"kind": "cifar10", "root": "x"}).captions({"train": 1}, 0)
    with pytest.raises(ConfigError, match="'demo' can't be evaluated on"):
        DATASETS.make({"kind": "demo"}).read_splits({"test": None}, 0)


def test_entries_are_checked_without_heavy_libraries() -> None:
    """A configuration is checked on login nodes, where each import costs seconds."""
    heavy = ["torch", "transformers", "open_clip", "sklearn", "scipy", "pandas", "PIL"]
    look = (
        "import sys; from clipdiff.datasets.base import DATASETS; "
        "[DATASETS.of(kind) for kind in DATASETS.kinds]; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", FIXED)
def test_published_splits(read, kind: str) -> None:
    counts = read(kind)["split"].value_counts()
    assert tuple(counts.get(split, 0) for split in ALL) == FIXED[kind]


@pytest.mark.parametrize("kind", TEST_ALONE)
def test_validation_is_a_part_of_the_training_images(read, kind: str) -> None:
    counts = read(kind)["split"].value_counts()
    training, test = TEST_ALONE[kind]
    assert counts["test"] == test
    assert counts["train"] + counts.get("validation", 0) == training


@pytest.mark.parametrize("kind", FOLDERS)
def test_equal_seeds_read_equal_tables_and_draw_counts_hold(tmp_path, write, kind: str) -> None:
    write[kind](tmp_path)
    counts = {"test": 2, "validation": 1}
    table = read_set(kind, tmp_path, counts, seed=3)
    assert table.equals(read_set(kind, tmp_path, counts, seed=3))
    assert list(table["split"]) == ["test"] * 2 + ["validation"] * (len(table) - 2)
    assert len(table) <= 3


def test_coco_draws_one_caption_a_image_from_its_own(read) -> None:
    table = read("coco")
    for path, caption in zip(table["path"], table["caption"], strict=True):
        assert caption.endswith(f"of thing {int(Path(path).stem)}.")
        assert "\n" not in caption
    assert table["caption"].str.split().str[2].nunique() > 2  # not always the first caption
    assert set(table["path"][table["split"] != "train"].str.contains("val2017")) == {True}


def test_coco_with_the_karpathy_split(tmp_path: Path, write) -> None:
    write["coco"](tmp_path)
    splits = ["train", "restval", "val", "test"]
    images = [
        {
            "filepath": "val2017",
            "filename": f"{139 + n:012d}.jpg",
            "split": split,
            "sentences": [{"raw": f"caption {n}"}],
            "cocoid": 139 + n,
        }
        for n, split in enumerate(splits)
    ]
    (tmp_path / "dataset_coco.json").write_text(json.dumps({"images": images, "dataset": "coco"}))
    table = read_set("coco", tmp_path, ALL, 0)
    assert list(table["split"]) == ["train", "train", "validation", "test"]
    assert list(table["caption"]) == [f"caption {n}" for n in range(4)]


def test_awa2_predicates_are_of_the_class_by_name(read) -> None:
    """The fault: labels local to the test classes as rows of the matrix, predicates off by one."""
    table = read("awa2")
    test = table[table["split"] == "test"]
    assert set(test["label"]) == {"mouse", "grizzly bear"}
    for label, values in zip(test["label"], facts(test), strict=True):
        folder = label.replace(" ", "+")
        path = test["path"][test["label"] == label].iloc[0]
        assert Path(path).parent.name == folder
        expected = {
            "mouse": {"black": 0, "big": 0, "small": 1, "stripes": 0},
            "grizzly bear": {"black": 1, "big": 1, "small": 0, "stripes": 0},
        }
        assert values == expected[label]


def test_cub_classes_attributes_and_captions(tmp_path: Path, write, add_cub_captions) -> None:
    write["cub200"](tmp_path)
    table = read_set("cub200", tmp_path, ALL, 0)
    assert set(table["label"]) == {"Black footed Albatross", "American Crow"}
    for path, label in zip(table["path"], table["label"], strict=True):
        assert Path(path).parent.name[4:].replace("_", " ") == label
    assert table["caption"].isna().all()
    values = {Path(p).stem: a for p, a in zip(table["path"], facts_or_none(table), strict=True)}
    assert values["Black_footed_Albatross_0000"] == {"has_wing_color": "dark blue"}
    assert values["Black_footed_Albatross_0001"] == {
        "has_wing_color": "dark blue",
        "has_size": "small (5 - 9 in)",
    }
    assert values["Black_footed_Albatross_0003"] is None  # marked with two colours
    add_cub_captions(tmp_path)
    table = read_set("cub200", tmp_path, ALL, 0)
    for path, caption in zip(table["path"], table["caption"], strict=True):
        assert caption.startswith(f"bird {Path(path).stem}, ")


def facts_or_none(table: pd.DataFrame) -> list[dict | None]:
    return [json.loads(text) if isinstance(text, str) else None for text in table["attributes"]]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("cifar10", ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse"]),
        ("cifar100", ["apple", "aquarium fish", "baby", "bear"]),
    ],
)
def test_cifar_pixels_and_names(read, kind: str, names: list[str]) -> None:
    for data, label in zip(*(read(kind)[name] for name in ("image", "label")), strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(data)))
        assert pixels.shape == (32, 32, 3)
        red = pixels[0, 0, 0]  # the writer painted the class number
        assert label == names[red] if red < len(names) else label in ("ship", "truck")
        assert pixels[31, 0, 2] == 200
        assert pixels[0, 31, 2] == 0  # rows are rows


def test_flowers_have_the_names_that_their_numbers_mean(read) -> None:
    """The fault: ids 2, 7, 4, 6, 10, 19 from 0 were taken for flowers of other colours."""
    table = read("flowers102")
    numbers = [int(Path(path).stem[-5:]) for path in table["path"]]
    labels = dict(zip(numbers, table["label"], strict=True))
    assert [labels[number] for number in range(1, 7)] == [
        "canterbury bells",
        "bird of paradise",
        "english marigold",
        "moon orchid",
        "snapdragon",
        "giant white arum lily",
    ]
    assert labels[7] == "blackberry lily"
    assert labels[8] == "pink primrose"


def test_flowers_names_are_torchvisions_published_list() -> None:
    from torchvision.datasets import Flowers102

    assert NAMES.read_text().splitlines() == Flowers102.classes


def test_eurosat_names(read) -> None:
    table = read("eurosat")
    assert {Path(p).parent.name: n for p, n in zip(table["path"], table["label"], strict=True)} == (
        CLASSES
    )


def test_random_test_splits_differ_by_seed_only(tmp_path: Path, write) -> None:
    write["eurosat"](tmp_path)
    tests = [read_set("eurosat", tmp_path, {"test": None}, seed)["path"] for seed in (0, 0, 1)]
    assert tests[0].equals(tests[1])
    assert not tests[0].equals(tests[2])


@pytest.mark.parametrize("kind", ["eurosat", "sun397"])
def test_random_test_splits_show_every_class(read, kind: str) -> None:
    table = read(kind)
    for split in ALL:
        assert set(table["label"][table["split"] == split]) == set(table["label"])


def test_sun_names_leave_the_letter_and_keep_the_view(read) -> None:
    assert set(read("sun397")["label"]) == {"abbey", "apartment building outdoor", "yard"}


def test_food_names(read) -> None:
    table = read("food101")
    for path, label in zip(table["path"], table["label"], strict=True):
        assert Path(path).parent.name == label.replace(" ", "_")


def test_folders_without_splits_are_all_test(tmp_path: Path, write) -> None:
    write["folder"](tmp_path)
    table = read_set("folder", tmp_path / "train", ALL, 0)
    assert list(table["split"]) == ["test"] * 6
    assert set(table["label"]) == {"red fox", "owl"}


def test_webdataset_samples(read) -> None:
    table = read("webdataset")
    assert list(table["label"]) == ["aeroplane", "potted plant", "aeroplane"] * 2
    assert table["caption"][:3].isna().all()
    assert set(table["caption"][3:]) <= {"one", "two"}
    assert json.loads(table["attributes"][4]) == {"size": "small"}
    assert all(isinstance(data, bytes) for data in table["image"])


@pytest.mark.parametrize(
    ("kind", "module", "maker"),
    [("cifar100", cifar_batches, "_png"), ("webdataset", webdataset, "_content")],
)
def test_only_kept_images_are_made(tmp_path, write, monkeypatch, kind, module, maker) -> None:
    """And they are those that a draw from all images gives."""
    write[kind](tmp_path)
    whole = read_set(kind, tmp_path, ALL, seed=5)
    made, make = [], getattr(module, maker)

    def counted(*place) -> bytes:
        made.append(make(*place))
        return made[-1]

    monkeypatch.setattr(module, maker, counted)
    table = read_set(kind, tmp_path, {"test": 4}, seed=5)
    tests = whole[whole["split"] == "test"]
    assert table.equals(tests.sample(4, random_state=5).sort_index().reset_index(drop=True))
    images = [data for data in made if data.startswith((b"\x89PNG", b"\xff\xd8", b"RIFF"))]
    assert images == list(table["image"])
