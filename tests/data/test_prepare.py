"""Captions tables and pairs: what is drawn, and what is refused."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clipdiff.settings import Data
from clipdiff.config.stages import PrepareSettings
from clipdiff.data.captions import read_table
from clipdiff.data.pairs import draw_pairs
from clipdiff.data.prepare import prepare
from clipdiff.demo.table import demo_captions
from clipdiff.errors import DataError
from clipdiff.files import read_parquet

SMALL = {"train_images": 30, "validation_images": 10, "test_images": 10, "pairs": 50}


def own_table(folder: Path, rows: int = 4) -> Path:
    for row in range(rows):
        Image.new("RGB", (8, 8), (row, 0, 0)).save(folder / f"{row}.png")
    table = pd.DataFrame(
        {
            "image": [f"{row}.png" for row in range(rows)],
            "caption": [f"picture {row}" for row in range(rows)],
            "split": ["train"] * (rows - 1) + ["test"],
        }
    )
    table.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def test_demo_splits_hold_out_scenes_and_a_style() -> None:
    table = demo_captions(Data(source="demo", **SMALL))
    attributes = pd.DataFrame([json.loads(text) for text in table["attributes"]])
    scenes = attributes[["object", "size", "count", "background"]].agg(
        lambda row: tuple(row), axis=1
    )
    parts = {split: set(scenes[table["split"] == split]) for split in set(table["split"])}
    assert not parts["train"] & (parts["validation"] | parts["test_scenes"] | parts["test_style"])
    assert not parts["validation"] & (parts["test_scenes"] | parts["test_style"])
    style = attributes["style"]
    assert set(style[table["split"] == "test_style"]) == {"twemoji"}
    assert "twemoji" not in set(style[table["split"] != "test_style"])
    assert table["caption"].str.split().str[0].nunique() > 4  # wording varies


def test_demo_pictures_show_their_attributes() -> None:
    table = demo_captions(Data(source="demo", **SMALL))
    with Image.open(io.BytesIO(table["image"][0])) as picture:
        assert picture.size == (128, 128)
        corner = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    colours, counts = np.unique(corner, axis=0, return_counts=True)
    wanted = json.loads(table["attributes"][0])["background"]
    from clipdiff.demo.scenes import BACKGROUNDS

    assert np.abs(colours[counts.argmax()].astype(int) - BACKGROUNDS[wanted]).max() <= 10


@pytest.mark.parametrize(("size", "count"), [(2, 1), (3, 3), (30, 435), (50, 200)])
def test_pairs_are_distinct_and_of_train_pictures(size: int, count: int) -> None:
    table = pd.DataFrame(
        {
            "image_id": range(100, 101 + size),
            "caption": "x",
            "split": ["train"] * size + ["test"],
        }
    )
    pairs = draw_pairs(table, count, seed=1)
    unordered = {frozenset(p) for p in zip(pairs.image_id_1, pairs.image_id_2, strict=True)}
    assert len(unordered) == count
    assert all(len(pair) == 2 and max(pair) < 100 + size for pair in unordered)
    assert pairs.equals(draw_pairs(table, count, seed=1))


def test_both_orders_occur() -> None:
    table = pd.DataFrame({"image_id": range(60), "caption": "x", "split": "train"})
    pairs = draw_pairs(table, 500, seed=0)
    assert 0.4 < (pairs.image_id_1 < pairs.image_id_2).mean() < 0.6


def test_too_many_pairs() -> None:
    table = pd.DataFrame({"image_id": [1, 2], "caption": "x", "split": "train"})
    with pytest.raises(DataError, match="2 train pictures give 1 pairs"):
        draw_pairs(table, 2, seed=0)


def test_own_table(tmp_path: Path) -> None:
    path = own_table(tmp_path)
    data = Data(source="table", table=str(path), train_images=3, pairs=3)
    captions, pairs = tmp_path / "c.parquet", tmp_path / "p.parquet"
    prepare(PrepareSettings(data=data), read_table(path), captions, pairs)
    assert list(read_parquet(captions)["split"]) == ["train"] * 3 + ["test"]
    assert len(read_parquet(pairs)) == 3


def test_bad_tables_name_file_and_row(tmp_path: Path) -> None:
    path = own_table(tmp_path)
    (tmp_path / "1.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"table.csv, row 1: .*1.png is not a readable picture"):
        read_table(path)
    (tmp_path / "1.png").unlink()
    with pytest.raises(DataError, match=r"row 1: no such picture"):
        read_table(path)
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "none.csv")
    broken = tmp_path / "cut.parquet"
    broken.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match=r"cut.parquet: not a whole Parquet file"):
        read_table(broken)


def test_empty_caption_is_refused(tmp_path: Path) -> None:
    table = demo_captions(Data(source="demo", **SMALL))
    table.loc[3, "caption"] = "  "
    settings = PrepareSettings(data=Data(source="demo", **SMALL))
    with pytest.raises(DataError, match="demo, row 3: the caption is empty"):
        prepare(settings, table, tmp_path / "c.parquet", tmp_path / "p.parquet")
    assert not list(tmp_path.iterdir())
