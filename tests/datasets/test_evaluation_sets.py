"""COCO as the training images, and data sets that are evaluated on beside them."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from clipdiff.cli import app
from clipdiff.config import check_config, load_config
from clipdiff.config.model import Data
from clipdiff.config.stages import PrepareSettings
from clipdiff.data.captions import COLUMNS
from clipdiff.data.prepare import prepare
from clipdiff.datasets.demo import Demo
from clipdiff.errors import ConfigError, DataError
from clipdiff.files import read_parquet
from clipdiff.tasks.clip_score import ClipScore
from clipdiff.tasks.measuring.splits import make_splits, read_captions

EVALUATED = ("awa2", "cub200", "cifar100", "flowers102", "webdataset")


@pytest.fixture
def data(tmp_path: Path, write) -> Data:
    """COCO to train on, and five sets to evaluate on."""
    for name in ("coco", *EVALUATED):
        write[name](tmp_path / name)
    return Data(
        source="coco",
        root=str(tmp_path / "coco"),
        train_images=10,
        validation_images=3,
        test_images=2,
        pairs=45,
        evaluation={name: {"root": str(tmp_path / name)} for name in EVALUATED},
    )


@pytest.fixture
def prepared(data: Data, tmp_path: Path) -> tuple[Path, Path]:
    """Captions and pairs of ``data``."""
    paths = tmp_path / "captions.parquet", tmp_path / "pairs.parquet"
    prepare(PrepareSettings(data=data), *paths)
    return paths


def test_evaluation_rows_are_added_and_never_trained_on(prepared) -> None:
    table, pairs = map(read_parquet, prepared)
    assert list(table.columns) == list(COLUMNS)
    assert table["image_id"].is_unique
    counts = table["split"].value_counts()
    assert (counts["train"], counts["validation"]) == (10, 3)
    assert counts["cifar100"] == 9
    assert counts["cifar100_validation"] <= 3
    assert "awa2_validation" not in counts  # its training classes are other classes
    trained = set(table["image_id"][table["split"] == "train"])
    assert set(pairs["image_id_1"]) | set(pairs["image_id_2"]) == trained
    assert table["dataset"][table["split"] == "train"].unique() == ["coco"]
    assert table["caption"][table["dataset"] == "awa2"].isna().all()


def test_each_set_is_judged_over_its_own_classes(prepared) -> None:
    path = prepared[0]
    names = ["awa2", "cifar100", "cifar100_validation", "test"]
    awa2, cifar, validation, coco = make_splits(read_captions(path), names, path)
    assert awa2.class_names == ["grizzly bear", "mouse"]
    assert awa2.values("big") == [0, 0, 0, 1, 1, 1]  # mouse comes first in testclasses.txt
    assert cifar.class_names == ["apple", "aquarium fish", "baby", "bear"] == validation.class_names
    assert coco.class_names == []
    assert set(coco.labels) == {-1}
    assert awa2.captions == [""] * 6
    with pytest.raises(DataError, match="'awa2': 6 images have no caption, which clip_score"):
        ClipScore().on(awa2, load_config("config.yaml").evaluate)


def test_a_table_of_one_data_set_keeps_its_classes(tmp_path: Path) -> None:
    table = Demo().captions({"train": 30, "validation": 20, "test": 20}, seed=0)
    classes = sorted(set(table["label"]))
    for held in (table, table.assign(dataset="demo")):
        for split in make_splits(held, ["validation", "test_style"], tmp_path):
            assert split.class_names == classes
            rows = table[table["split"] == split.name]
            assert [classes[label] for label in split.labels] == list(rows["label"])


def test_the_demo_reads_as_before_but_for_the_data_set(tmp_path: Path) -> None:
    small = {"train_images": 30, "validation_images": 10, "test_images": 10, "pairs": 50}
    settings = PrepareSettings(data=Data(source="demo", **small))
    table = Demo().captions(settings.data.counts, settings.data.seed)
    prepare(settings, tmp_path / "c.parquet", tmp_path / "p.parquet")
    written = read_parquet(tmp_path / "c.parquet")
    assert set(written.pop("dataset")) == {"demo"}
    pd.testing.assert_frame_equal(written, table[list(written.columns)], check_dtype=False)


def test_a_split_name_that_is_taken(data: Data, tmp_path: Path) -> None:
    entry = {"test": {"kind": "awa2", "root": str(tmp_path / "awa2")}}
    settings = PrepareSettings(data=Data(**data.model_dump() | {"evaluation": entry}))
    with pytest.raises(DataError, match=r"data.evaluation.test: the captions have a split test"):
        prepare(settings, tmp_path / "c", tmp_path / "p")
    assert not (tmp_path / "c").exists()


def test_a_set_without_test_images(data: Data, tmp_path: Path, write) -> None:
    write["folder"](tmp_path / "birds")
    (tmp_path / "birds/test").rename(tmp_path / "elsewhere")
    entry = {"birds": {"kind": "folder", "root": str(tmp_path / "birds")}}
    settings = PrepareSettings(data=Data(**data.model_dump() | {"evaluation": entry}))
    with pytest.raises(DataError, match="birds: folder has no test images"):
        prepare(settings, tmp_path / "c", tmp_path / "p")


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"source": "coco"}, "data.root: missing; expected the folder into which its archives"),
        ({"source": "cifar10"}, "'cifar10' has no captions to train on; allowed: coco, demo, tab"),
        ({"source": "table", "root": "x"}, "data.table: missing; expected the file with columns"),
        ({"root": "x"}, "data.root: has no effect with data.source: demo; remove it"),
        ({"evaluation": {"demo": {}}}, "data.evaluation.demo: 'demo' can't be evaluated on"),
        ({"evaluation": {"cifar10O": {"root": "x"}}}, "data.evaluation.cifar10O.kind is missing"),
        ({"evaluation": {"cifar10O": {"root": "x"}}}, "(did you mean 'cifar10'?)"),
        ({"evaluation": {"train": {"root": "x", "kind": "awa2"}}}, "the name is reserved"),
        ({"evaluation": {"awa2": {"rot": "x"}}}, "data.evaluation.awa2.rot: unknown key"),
        ({"evaluation": {"x": {"root": "x", "kind": "awa"}}}, "(did you mean 'awa2'?)"),
    ],
)
def test_config_faults(section: dict, expected: str) -> None:
    values = yaml.safe_load(Path("config.yaml").read_text())
    values["data"] |= section
    with pytest.raises(ConfigError) as caught:
        check_config(values)
    assert expected in str(caught.value)


def checked(data: Data, tmp_path: Path) -> tuple[int, str]:
    preset = tmp_path / "preset.yaml"
    preset.write_text(yaml.safe_dump({"data": data.model_dump(mode="json")}))
    done = CliRunner().invoke(
        app, ["data", "check", "--config", "config.yaml", "--config", str(preset)]
    )
    return done.exit_code, done.output


def test_data_check_of_sets_in_place(data: Data, tmp_path: Path) -> None:
    code, text = checked(data, tmp_path)
    assert code == 0
    assert text.count("ok ") == 6
    assert f"data.root: coco in {tmp_path}/coco: " in text
    assert "6 of 6 data sets are in place" in text
    assert "KiB" in text
    assert "licence: COCO, Terms of Use" in text
    assert f"data.evaluation.awa2: awa2 in {tmp_path}/awa2/Animals_with_Attributes2" in text
    assert "with ../attributes.txt" in text


def test_data_check_names_missing_files_and_downloads(data: Data, tmp_path: Path) -> None:
    (tmp_path / "cifar100/cifar-100-python/meta").unlink()
    (tmp_path / "flowers102/jpg").rename(tmp_path / "jpg")
    (tmp_path / "awa2").rename(tmp_path / "elsewhere")
    again = data.evaluation["awa2"].model_copy(update={"kind": "awa2"})
    twice = data.evaluation | {"awa2_size": again}
    code, text = checked(data.model_copy(update={"evaluation": twice}), tmp_path)
    assert code == 1
    assert text.count("missing ") == 3
    assert "cifar100 in " in text
    assert f"{tmp_path}/cifar100/cifar-100-python: lacks meta\n" in text
    assert "download: CIFAR-100 python version" in text
    assert f"unpack into: {tmp_path}/cifar100\n" in text
    assert "102flowers.tgz" in text
    both = "data.evaluation.awa2, data.evaluation.awa2_size: awa2 in"
    assert f"{both} {tmp_path}/awa2: nothing of it is there" in text
    assert "3 of 6 data sets are in place" in text


def test_data_check_of_the_demo() -> None:
    done = CliRunner().invoke(app, ["data", "check"])
    assert done.exit_code == 0
    assert "data.source: demo needs no download" in done.output


def test_prepare_verb_reads_coco(data: Data, tmp_path: Path) -> None:
    settings = PrepareSettings(data=data).model_dump_json()
    done = CliRunner().invoke(
        app, ["prepare", "--settings", settings, "--results", str(tmp_path / "r")]
    )
    assert done.exit_code == 0, done.output
    assert len(read_parquet(tmp_path / "r/data/pairs.parquet")) == 45
