"""Loading, trimmed text encoding, image embedding and weight averaging against open_clip."""

import dataclasses
import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from clipdiff.errors import ConfigError, DataError, ModelError
from clipdiff.settings import Clip
from clipdiff.towers.average import average_weights
from clipdiff.towers.encode import TextEncoder, encode_texts
from clipdiff.towers.images import embed_images, read_images
from clipdiff.towers.load import load_clip, load_tokenizer, without_commentary

TEXTS = ["a red fox on a blue ground", "two owls", "", "the first is larger than the second, twice"]
VISION = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 3}
TOWERS = {
    "openai": {},
    "eos": {"pool_type": "eos", "eos_id": 49407},
    "no mask": {"no_causal_mask": True},
    "last": {"pool_type": "last"},
    "scaled": {"ls_init_value": 0.5},
    "linear": {"proj_type": "none", "width": 16},
}


def save_clip(folder: Path, custom: bool = False, **changes) -> Clip:
    folder.mkdir(parents=True)
    config = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT | changes}
    if custom:
        config["custom_text"] = True
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3}
    whole = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(whole))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return Clip(model=f"local-dir:{folder}")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return load_clip(save_clip(tmp_path_factory.mktemp("clip") / "openai"))


@pytest.fixture
def images() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    streams = [io.BytesIO() for _ in range(5)]
    for stream in streams:
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(stream, "PNG")
    columns = {"image_id": range(10, 15), "image": [s.getvalue() for s in streams], "path": None}
    return pd.DataFrame(columns)


@pytest.fixture
def embedded(clip, tmp_path):
    """Write a table of images, embed those of some rows, and return image_embeds."""

    def made(images: pd.DataFrame, batch: int = 2, rows: Sequence[int] = range(5)) -> Tensor:
        images.to_parquet(tmp_path / "captions.parquet", index=False, row_group_size=2)
        image_ids = images["image_id"].iloc[list(rows)]
        return embed_images(clip, tmp_path / "captions.parquet", image_ids, batch)

    return made


@pytest.mark.parametrize("custom", [False, True])
@pytest.mark.parametrize("kind", TOWERS)
def test_texts_are_encoded_as_open_clip_does(kind, custom, tmp_path):
    clip = load_clip(save_clip(tmp_path / "clip", custom, **TOWERS[kind]))
    with torch.no_grad():
        expected = clip.model.encode_text(clip.tokenize(TEXTS), normalize=True)
    got = encode_texts(clip, TEXTS, batch=2)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)


def test_gradients_of_trimmed_texts_are_those_of_padded_ones(tmp_path):
    clip = load_clip(save_clip(tmp_path / "clip"))
    clip.model.double()  # so that rounding does not hide or make a difference
    tokens = clip.tokenize(TEXTS)
    parameters = [p.requires_grad_() for p in clip.text_tower.parameters()]
    weights = torch.randn(len(TEXTS), 16, generator=torch.Generator().manual_seed(0)).double()
    padded = torch.autograd.grad((clip.model.encode_text(tokens) * weights).sum(), parameters)
    trimmed = torch.autograd.grad((clip.text_tower(tokens) * weights).sum(), parameters)
    for got, expected in zip(trimmed, padded, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-10)


def test_order_batches_and_repeats_do_not_matter(clip):
    got = encode_texts(clip, TEXTS)
    assert torch.equal(encode_texts(clip, TEXTS), got)
    torch.testing.assert_close(encode_texts(clip, TEXTS[::-1], batch=1).flip(0), got)
    torch.testing.assert_close(got.norm(dim=1), torch.ones(len(TEXTS)))
    assert encode_texts(clip, []).shape == (0, 16)


def test_an_encoder_tokenises_once_and_gives_the_same_bits(tmp_path):
    clip, asked = load_clip(save_clip(tmp_path / "clip")), []

    def counted(texts: list[str]) -> Tensor:
        asked.extend(texts)
        return clip.tokenizer(texts)

    encode = TextEncoder(dataclasses.replace(clip, tokenizer=counted))
    for texts in (TEXTS[:3], TEXTS, TEXTS[::-1], [TEXTS[1]] * 2):
        assert torch.equal(encode(texts), encode_texts(clip, texts))
    before = encode(TEXTS)
    clip.model.text_projection.data[:, 0] += 1
    assert not torch.equal(encode(TEXTS), before)
    assert torch.equal(encode(TEXTS), encode_texts(clip, TEXTS))
    assert asked == TEXTS
    assert encode([]).shape == (0, 16)


def test_images_are_embedded_in_order(clip, images, embedded):
    opened = [Image.open(io.BytesIO(data)).convert("RGB") for data in images["image"]]
    with torch.no_grad():
        batch = torch.stack([clip.preprocess(image) for image in opened])
        expected = clip.model.encode_image(batch, normalize=True)
    got = embedded(images)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)
    assert got.dtype == torch.float32
    torch.testing.assert_close(embedded(images, rows=[3, 0, 4]), expected[[3, 0, 4]])


def test_only_some_images_are_read(images, tmp_path):
    path = tmp_path / "captions.parquet"
    images.to_parquet(path, index=False, row_group_size=1)
    some = images["image_id"].iloc[[4, 3]]
    footer = pq.ParquetFile(path).metadata
    first = footer.row_group(0).column(1)  # the image of row 0, spoilt
    data = bytearray(path.read_bytes())
    start = first.dictionary_page_offset or first.data_page_offset
    data[start : start + first.total_compressed_size] = bytes(first.total_compressed_size)
    path.write_bytes(data)
    assert list(read_images(path, some)["image"]) == list(images["image"][[4, 3]])
    assert list(read_images(path, some).index) == [4, 3]
    with pytest.raises(DataError, match="not a whole Parquet file"):
        read_images(path, images["image_id"])


def test_a_image_that_the_table_lacks(images, tmp_path):
    images.to_parquet(tmp_path / "captions.parquet", index=False)
    with pytest.raises(DataError, match=r"captions.parquet: no image has image_id 99"):
        read_images(tmp_path / "captions.parquet", pd.Series([11, 99, 12]))


def test_images_by_path(images, embedded, tmp_path):
    for name, data in zip("abcde", images["image"], strict=True):
        (tmp_path / name).write_bytes(data)
    by_path = images.assign(image=None, path=[str(tmp_path / name) for name in "abcde"])
    assert torch.equal(embedded(by_path, batch=5), embedded(images, batch=5))


@pytest.mark.parametrize(
    ("image", "path", "message"),
    [
        (b"\x89PNG no image", None, r"row 2, image_id 12: its 13 bytes are not a readable"),
        (None, "/nowhere/cat.png", r"row 2, image_id 12: no such image: /nowhere/cat.png"),
        (None, None, r"row 2, image_id 12: no image; one of the columns"),
    ],
)
def test_an_unreadable_image_is_named(images, embedded, image, path, message):
    broken = images.astype({"path": object})
    broken.at[2, "image"], broken.at[2, "path"] = image, path
    with pytest.raises(DataError, match=message):
        embedded(broken)


def test_a_truncated_image_is_named(images, embedded):
    images.at[1, "image"] = images.at[1, "image"][:200]
    with pytest.raises(DataError, match=r"row 1, image_id 11: its 200 bytes"):
        embedded(images, batch=5)


def test_averages_run_from_pretrained_to_finetuned():
    start = {"w": torch.tensor([1.0, -2.0]), "count": torch.tensor(3)}
    end = {"w": torch.tensor([2.0, 2.0]), "count": torch.tensor(7)}
    assert average_weights(start, end, 0.25)["w"].tolist() == [1.25, -1.0]
    assert average_weights(start, end, 0.5)["count"] == 7
    for alpha, exact in ((0.0, start), (1.0, end)):
        got = average_weights(start, end, alpha)
        assert all(torch.equal(got[name], exact[name]) for name in exact)


def test_a_loaded_clip_is_frozen(clip):
    assert not clip.model.training
    assert not any(parameter.requires_grad for parameter in clip.model.parameters())
    assert clip.context_length == 77
    assert clip.tokenize(TEXTS).shape == (len(TEXTS), 77)


def test_a_shipped_clip_is_one_of_this_installation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clip = load_clip(Clip(model="demo:clip"))
    config = open_clip.get_model_config(clip.name)  # what an export writes down
    assert config["embed_dim"] == clip.model.visual.output_dim == 128
    tokenizer = load_tokenizer(Clip(model="demo:clip"))
    assert torch.equal(tokenizer(TEXTS), clip.tokenize(TEXTS))
    with pytest.raises(ConfigError, match=r"demo:clap: no such model is shipped; .*'clip'"):
        load_clip(Clip(model="demo:clap"))


def test_open_clips_commentary_alone_is_kept_out_of_the_log(caplog):
    caplog.set_level(logging.INFO)
    with without_commentary():
        logging.info("a step of the loading")
        logging.warning("no weights")
        logging.getLogger("another").info("a step of its own")
    logging.info("later")
    assert [record.message for record in caplog.records] == [
        "no weights", "a step of its own", "later",
    ]  # fmt: skip


def test_what_is_no_model_is_an_error(tmp_path):
    whole = save_clip(tmp_path / "whole")
    folder = tmp_path / "whole"
    for model, pretrained, message in (
        (f"local-dir:{tmp_path}/absent", None, "absent: no such folder"),
        (
            f"local-dir:{tmp_path}",
            None,
            r"not an open_clip folder, it lacks open_clip_config\.json",
        ),
        ("ViT-B-23", None, r"got 'ViT-B-23' \(did you mean 'ViT-B-\d\d'\?\)"),
        ("ViT-B-32", None, r"clip.pretrained: missing.*laion2b_s34b_b79k"),
        ("ViT-B-32", "nowhere", "can't be loaded"),
    ):
        with pytest.raises(ModelError, match=message):
            load_clip(Clip(model=model, pretrained=pretrained))
    weights = folder / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(ModelError, match="can't be loaded"):
        load_clip(whole)
    weights.unlink()
    with pytest.raises(ModelError, match="without weights"):
        load_clip(whole)
