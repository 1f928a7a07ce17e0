"""The embedded default as a data set: what is held out, and what its images show."""

import io
import json
import shutil

import numpy as np
import pandas as pd
from PIL import Image

from clipdiff import shipped
from clipdiff.datasets.demo import Demo
from clipdiff.demo.scenes import BACKGROUNDS

SMALL = {"train": 30, "validation": 10, "test": 10}


def test_demo_splits_hold_out_scenes_and_a_style() -> None:
    table = Demo().captions(SMALL, seed=0)
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


def test_demo_images_show_their_attributes() -> None:
    table = Demo().captions(SMALL, seed=0)
    with Image.open(io.BytesIO(table["image"][0])) as image:
        assert image.size == (128, 128)
        corner = np.asarray(image.convert("RGB")).reshape(-1, 3)
    colours, counts = np.unique(corner, axis=0, return_counts=True)
    background = json.loads(table["attributes"][0])["background"]
    assert np.abs(colours[counts.argmax()].astype(int) - BACKGROUNDS[background]).max() <= 10


def test_a_damaged_file_is_named(tmp_path, monkeypatch) -> None:
    ((fine, text),) = Demo().findings()
    assert fine
    assert "whole by its checksums" in text
    for name in ("objects.csv", "clip/tokenizer.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(shipped.ASSETS / name, tmp_path / name)
    lines = shipped.SUMS.read_text().splitlines(keepends=True)
    kept = [line for line in lines if line.split()[1] in ("objects.csv", "clip/tokenizer.json")]
    (tmp_path / "SHA256SUMS").write_text("".join(kept) + f"{'0' * 64}  bert/gone.json\n")
    monkeypatch.setattr(shipped, "ASSETS", tmp_path)
    monkeypatch.setattr(shipped, "SUMS", tmp_path / "SHA256SUMS")
    (tmp_path / "objects.csv").write_text("other")
    findings = list(Demo().findings())
    assert [fine for fine, _ in findings] == [False, False]
    for (_, text), name in zip(findings, ("objects.csv", "bert/gone.json"), strict=True):
        assert text.startswith(f"demo: {name} is not as it was shipped")
