"""What readers and templates call by name, against the names that the publishers list."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from clipdiff.datasets.awa2 import MATRIX, class_predicates
from clipdiff.datasets.base import DATASETS
from clipdiff.datasets.cub200 import class_name
from clipdiff.datasets.eurosat import CLASSES
from clipdiff.datasets.flowers102 import NAMES
from clipdiff.tasks.texts.attributes import class_key, load_templates

PUBLISHED = Path(__file__).parent / "published"
COUNTS = {
    "awa2_classes": 50,
    "awa2_predicates": 85,
    "cifar10": 10,
    "cifar100": 100,
    "cub200_attributes": 312,
    "cub200_classes": 200,
    "eurosat": 10,
    "flowers102": 102,
    "food101": 101,
    "sun397": 397,
}
REWORDED = {  # the publishers' name -> CLIP_benchmark's
    "globe-flower": "globe flower",
    "pink-yellow dahlia?": "pink and yellow dahlia",
    "ball moss": "air plant",
}
CIFAR100_SIZES = {  # the public code's labels and its words for them
    "large": {15: "camel", 42: "leopard", 43: "lion", 97: "wolf"},
    "small": {36: "hamster", 65: "rabbit", 74: "shrew", 80: "squirrel"},
}


def published(name: str) -> list[str]:
    lines = (PUBLISHED / f"{name}.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


@pytest.mark.parametrize("name", COUNTS)
def test_lists_are_whole(name: str) -> None:
    assert len(set(published(name))) == len(published(name)) == COUNTS[name]


def test_every_list_is_held() -> None:
    assert {path.stem for path in PUBLISHED.glob("*.txt")} == set(COUNTS)


@pytest.mark.parametrize(
    ("templates", "names"),
    [("cifar100_size", "cifar100"), ("flowers102_colour", None), ("cub200", "cub200_classes")],
)
def test_templates_speak_of_classes_that_there_are(templates: str, names: str | None) -> None:
    listed = published(names) if names else NAMES.read_text().splitlines()
    known = {class_key(name) for name in listed}
    assert len(known) == len(listed)
    for attribute in load_templates(templates).values():
        assert {class_key(name) for name in attribute.classes} <= known


@pytest.mark.parametrize("templates", ["awa2", "awa2_size"])
def test_templates_speak_of_predicates_that_there_are(templates: str) -> None:
    assert set(load_templates(templates)) <= set(published("awa2_predicates"))


def test_cifar100_labels_are_the_published_order(tmp_path: Path, write_pickle) -> None:
    names, root = published("cifar100"), tmp_path / "cifar-100-python"
    data = np.repeat(np.arange(100, dtype=np.uint8)[:, None], 3072, axis=1)
    for part in ("train", "test"):
        write_pickle(root / part, {"data": data, "fine_labels": list(range(100))})
    write_pickle(root / "meta", {"fine_label_names": names})
    entry = DATASETS.make({"kind": "cifar100", "root": str(tmp_path)})
    table = entry.read_splits({"test": None}, seed=0)
    reds = [Image.open(io.BytesIO(data)).getpixel((0, 0))[0] for data in table["image"]]
    assert list(table["label"]) == [names[label].replace("_", " ") for label in reds]
    sizes = load_templates("cifar100_size")["size"].classes
    for size, labels in CIFAR100_SIZES.items():
        assert labels == {label: table["label"][label] for label in labels}
        assert set(labels.values()) == {name for name, value in sizes.items() if value == size}


def test_flowers_of_each_label_have_their_published_name(tmp_path: Path) -> None:
    (tmp_path / "jpg").mkdir()
    for number in range(1, 103):
        Image.new("RGB", (2, 2)).save(tmp_path / f"jpg/image_{number:05d}.jpg")
    numbers = np.arange(1, 103)[None]
    savemat(tmp_path / "imagelabels.mat", {"labels": numbers})
    savemat(tmp_path / "setid.mat", {"trnid": [[]], "valid": [[]], "tstid": numbers})
    entry = DATASETS.make({"kind": "flowers102", "root": str(tmp_path)})
    labels = list(entry.read_splits({"test": None}, seed=0)["label"])
    assert [REWORDED.get(label, label) for label in labels] == published("flowers102")
    # ids from 0 that the public code took for bluebell, blue poppy, sunflower, goldenrod, ...
    assert [labels[number] for number in (2, 7, 4, 6, 10, 19)] == [
        "canterbury bells", "bird of paradise", "english marigold", "moon orchid", "snapdragon",
        "giant white arum lily",
    ]  # fmt: skip


def test_awa2_columns_go_by_name(tmp_path: Path, lines) -> None:
    """The public code took column 15 from 0 for `big`; it is `small`."""
    classes, predicates = published("awa2_classes"), published("awa2_predicates")
    for name, texts in (("classes", classes), ("predicates", predicates)):
        lines(tmp_path / f"{name}.txt", [f"{n:6d}\t{text}" for n, text in enumerate(texts, 1)])
    matrix = np.zeros((50, 85), dtype=int)
    matrix[classes.index("elephant"), 14] = matrix[classes.index("mouse"), 15] = 1
    lines(tmp_path / MATRIX, [" ".join(map(str, row)) for row in matrix])
    values_of = class_predicates(tmp_path)
    assert {name for name, values in values_of.items() if values["big"]} == {"elephant"}
    assert {name for name, values in values_of.items() if values["small"]} == {"mouse"}


def test_eurosat_folders() -> None:
    assert list(CLASSES) == published("eurosat")


def test_words_make_no_two_classes_one() -> None:
    """Signs go from names; what is left must still tell classes apart."""
    for name in ("awa2_classes", "cifar10", "cifar100", "cub200_classes", "food101", "sun397"):
        keys = {class_key(text) for text in published(name)}
        assert len(keys) == COUNTS[name]
    assert class_name(published("cub200_classes")[0]) == "Black footed Albatross"


def test_prompt_sets_and_templates_are_of_data_sets() -> None:
    """CUB's attributes that the reader's docstring speaks of exist."""
    attributes = {text.partition("::")[0] for text in published("cub200_attributes")}
    assert {"has_wing_color", "has_size"} <= attributes
