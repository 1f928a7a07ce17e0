"""The whole workflow on the tiny preset: every stage, every kind of LLM, run for real."""

import io
import json
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from checkout import Checkout
from PIL import Image
from safetensors.torch import load_file

from clipdiff.shipped import path_of

CELL = "bert/hinge/seed0"
WEIGHTS = "open_clip_model.safetensors"

pytestmark = pytest.mark.slow


def test_every_stage_left_its_files(tiny: Checkout) -> None:
    for name in (
        "data/captions.parquet",
        "data/pairs.parquet",
        "embeds/image_embeds.safetensors",
        "generations/rewritten-t5.parquet",
        "differences/shuffled-t5.parquet",
        f"models/{CELL}/open_clip_model.safetensors",
        f"models/{CELL}/provenance.json",
        f"metrics/{CELL}.items.parquet",
        "metrics/pretrained/none/seednone.json",
        "tables/metrics.csv",
        "tables/summary.md",
        "tables/summary.tex",
        "tables/tests.csv",
        "report.html",
    ):
        assert (tiny.results / name).is_file(), name
    assert not list(tiny.results.rglob("*.tmp"))


def test_every_row_is_in_the_table(tiny: Checkout) -> None:
    table = pd.read_csv(tiny.results / "tables/metrics.csv")
    rows = {"llama2", "gpt3", "bert", "t5", "captions", "rewritten-t5", "shuffled-t5", "pretrained"}
    assert set(table["llm"]) == rows
    assert set(table["loss"]) == {"contrastive", "hinge", "none"}
    values = table["value"].to_numpy()
    assert np.isfinite(values).all()
    assert ((table["ci_low"] <= table["value"]) & (table["value"] <= table["ci_high"])).mean() > 0.9


def test_a_second_run_finds_nothing_to_do(tiny: Checkout) -> None:
    assert "Nothing to be done" in tiny.snakemake("--dry-run")


def test_the_image_tower_trains_where_its_entry_says_so(tiny: Checkout) -> None:
    before = load_file(Path(path_of("demo:clip")) / WEIGHTS)
    table = pd.read_csv(tiny.results / "tables/metrics.csv")
    probed = table[table["task"] == "linear_probe"]
    assert set(probed["loss"]) == {"none", "contrastive"}
    for loss in ("contrastive", "hinge"):
        after = load_file(tiny.results / f"models/bert/{loss}/seed0/{WEIGHTS}")
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        assert any(name.startswith("visual.") for name in moved) == (loss == "contrastive")


@pytest.mark.parametrize("edit", ["margin: 0.3", "train: {lr: 1.0e-4}"])
def test_editing_an_entry_reruns_its_cells_only(tiny: Checkout, tmp_path: Path, edit: str) -> None:
    preset = tmp_path / "edit.yaml"
    preset.write_text(f"loss_definitions: {{hinge: {{{edit}}}}}\n")
    jobs = tiny.plan(presets=(preset,))
    assert jobs == {"train": 7, "evaluate": 7, "gather": 1, "all": 1}


def test_an_ablation_is_one_more_cell(tiny_copy: Checkout, tmp_path: Path) -> None:
    preset = tmp_path / "ablation.yaml"
    preset.write_text(
        "llms: [llama2, gpt3, bert, t5, unfiltered]\n"
        "losses: [contrastive, hinge, hinge_both]\n"
        "evaluate: {tasks: [linear_probe, zero_shot]}\n"
        "llm_definitions: {unfiltered: {kind: reuse, model: llama2, filter: {enabled: false}}}\n"
        "loss_definitions: {hinge_both: {kind: hinge, train: {trainable: both, pairs: 64}}}\n"
    )
    answers = tiny_copy.results / "generations/llama2.parquet"
    asked = answers.stat().st_mtime_ns
    cell = "unfiltered/hinge_both/seed0"
    tiny_copy.snakemake(f"results/metrics/{cell}.json", presets=(preset,))
    assert answers.stat().st_mtime_ns == asked
    differences = pd.read_parquet(tiny_copy.results / "differences/unfiltered.parquet")
    assert differences["kept"].all()
    written = json.loads((tiny_copy.results / f"metrics/{cell}.json").read_text())["rows"]
    assert {row["task"] for row in written} == {"linear_probe", "zero_shot"}
    told = json.loads((tiny_copy.results / f"models/{cell}/provenance.json").read_text())
    assert told["settings"]["train"]["trainable"] == "both"
    assert told["settings"]["train"]["pairs"] == 64


def test_one_cell_made_again_gives_the_same_numbers(tiny_copy: Checkout) -> None:
    metrics = tiny_copy.results / f"metrics/{CELL}.json"
    before = json.loads(metrics.read_text())["rows"]
    weights = tiny_copy.results / f"models/{CELL}/{WEIGHTS}"
    bytes_before = weights.read_bytes()
    weights.unlink()
    metrics.unlink()
    tiny_copy.snakemake(metrics.relative_to(tiny_copy.folder))
    assert weights.read_bytes() == bytes_before
    assert json.loads(metrics.read_text())["rows"] == before


def test_the_exported_model_gives_the_evaluated_numbers(tiny: Checkout) -> None:
    folder = f"local-dir:{tiny.results / 'models' / CELL}"
    model, _, preprocess = open_clip.create_model_and_transforms(folder)
    tokenize = open_clip.get_tokenizer(folder)
    captions = pd.read_parquet(tiny.results / "data/captions.parquet")
    names = sorted(captions["label"].unique())
    images = captions[captions["split"] == "test_scenes"]
    with torch.no_grad():
        pixels = torch.stack([preprocess(decode(data)) for data in images["image"]])
        image_embeds = model.eval().encode_image(pixels, normalize=True)
        prompts = tokenize([f"This is a photo of a {name}" for name in names])
        text_embeds = model.encode_text(prompts, normalize=True)
    best = (image_embeds @ text_embeds.T).argmax(1)
    acc1 = np.mean([names[row] == label for row, label in zip(best, images["label"], strict=True)])
    rows = pd.DataFrame(json.loads((tiny.results / f"metrics/{CELL}.json").read_text())["rows"])
    measured = rows.query(
        "task == 'zero_shot' and metric == 'acc1' and split == 'test_scenes' "
        "and weights == 'finetuned'"
    )
    assert measured["value"].item() == pytest.approx(acc1)


def decode(data: bytes) -> Image.Image:
    """Open one image."""
    return Image.open(io.BytesIO(data)).convert("RGB")
