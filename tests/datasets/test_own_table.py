"""A table of a user's own: what is read, and what is refused."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from clipdiff.config.model import Data
from clipdiff.config.stages import PrepareSettings
from clipdiff.data.prepare import prepare
from clipdiff.datasets.table import Table
from clipdiff.errors import DataError
from clipdiff.files import read_parquet


def own_table(folder: Path, rows: int = 4) -> Path:
    for row in range(rows):
        Image.new("RGB", (8, 8), (row, 0, 0)).save(folder / f"{row}.png")
    table = pd.DataFrame(
        {
            "image": [f"{row}.png" for row in range(rows)],
            "caption": [f"image {row}" for row in range(rows)],
            "split": ["train"] * (rows - 1) + ["test"],
        }
    )
    table.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def read(path: Path) -> pd.DataFrame:
    return Table(table=str(path)).captions({}, seed=0)


def test_own_table(tmp_path: Path) -> None:
    path = own_table(tmp_path)
    data = Data(source="table", table=str(path), train_images=3, pairs=3)
    captions, pairs = tmp_path / "c.parquet", tmp_path / "p.parquet"
    prepare(PrepareSettings(data=data), captions, pairs)
    assert list(read_parquet(captions)["split"]) == ["train"] * 3 + ["test"]
    assert len(read_parquet(pairs)) == 3


def test_bad_tables_name_file_and_row(tmp_path: Path) -> None:
    path = own_table(tmp_path)
    (tmp_path / "1.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"table.csv, row 1: .*1.png is not a readable image"):
        read(path)
    (tmp_path / "1.png").unlink()
    with pytest.raises(DataError, match=r"row 1: no such image"):
        read(path)
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "none.csv")
    truncated = tmp_path / "cut.parquet"
    truncated.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match=r"cut.parquet: not a whole Parquet file"):
        read(truncated)


def test_an_empty_caption_leaves_nothing(tmp_path: Path) -> None:
    path = own_table(tmp_path)
    path.write_text(path.read_text().replace("image 3", "  "))
    settings = PrepareSettings(data=Data(source="table", table=str(path), pairs=1))
    with pytest.raises(DataError, match=r"table.csv, row 3: the caption is empty"):
        prepare(settings, tmp_path / "out/c.parquet", tmp_path / "out/p.parquet")
    assert not (tmp_path / "out").exists()


def test_whether_it_is_there(tmp_path: Path) -> None:
    path = own_table(tmp_path)
    assert list(Table(table=str(path)).findings()) == [(True, str(path))]
    assert list(Table(table="no.csv").findings()) == [(False, "no.csv")]
