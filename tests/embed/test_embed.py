"""The stage from the captions table to the embeddings file."""

import pandas as pd
import pytest
import torch

from clipdiff.config.stages import EmbedSettings
from clipdiff.datasets.demo import Demo
from clipdiff.embed.embed import embed
from clipdiff.errors import DataError
from clipdiff.files import read_tensors
from clipdiff.settings import Clip
from clipdiff.towers.images import embed_images
from clipdiff.towers.load import load_clip

SETTINGS = EmbedSettings(clip=Clip(model="demo:clip", batch=8))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return Demo().captions({"train": 9, "validation": 2, "test": 2}, seed=0).iloc[::-1]


def test_every_image_under_its_id(table, tmp_path):
    table.to_parquet(tmp_path / "captions.parquet", index=False)
    output = tmp_path / "embeds/image_embeds.safetensors"
    embed(SETTINGS, tmp_path / "captions.parquet", output)
    held = read_tensors(output)
    assert held["image_ids"].tolist() == table["image_id"].tolist()
    clip, ids = load_clip(SETTINGS.clip), table["image_id"]
    expected = embed_images(clip, tmp_path / "captions.parquet", ids, batch=8)
    assert torch.equal(held["image_embeds"], expected)
    assert held["image_embeds"].dtype == torch.float32
    torch.testing.assert_close(held["image_embeds"].norm(dim=1), torch.ones(len(table)))
    first = output.read_bytes()
    embed(SETTINGS, tmp_path / "captions.parquet", output)
    assert output.read_bytes() == first


def test_an_unreadable_image_leaves_nothing(table, tmp_path):
    images = table["image"].tolist()
    images[10] = b"no image"
    table.assign(image=images).to_parquet(tmp_path / "captions.parquet", index=False)
    with pytest.raises(DataError, match=r"row 10, image_id \d+: its 8 bytes are not a readable"):
        embed(SETTINGS, tmp_path / "captions.parquet", tmp_path / "out.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["captions.parquet"]


def test_an_empty_table_is_an_error(table, tmp_path):
    table.iloc[:0].to_parquet(tmp_path / "captions.parquet", index=False)
    with pytest.raises(DataError, match="no rows"):
        embed(SETTINGS, tmp_path / "captions.parquet", tmp_path / "out.safetensors")
