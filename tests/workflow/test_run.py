"""The whole workflow on the tiny preset: every stage, every kind of LLM, run for real."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LINKED = ("Snakefile", "config.yaml", "config", "rules", "profiles", "clipdiff", "kernels", "envs")
CELL = "bert/hinge/seed0"

pytestmark = pytest.mark.slow


class Checkout:
    """A folder that looks like a fresh clone, with results of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in LINKED:
            (folder / name).symlink_to(ROOT / name)
        self.results = folder / "results"

    def snakemake(self, *arguments: str | Path, presets: tuple[Path, ...] = ()) -> str:
        """Run the tiny preset, with more presets over it; returns what Snakemake said."""
        command = [BIN / "snakemake", "--profile", "profiles/local", *arguments]
        command += ["--configfile", "config.yaml", "config/tiny.yaml", *presets]
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-4000:]
        return said


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The tiny grid, run from nothing to the report."""
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    made.snakemake()
    return made


def test_every_stage_left_its_files(checkout: Checkout) -> None:
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
        assert (checkout.results / name).is_file(), name
    assert not list(checkout.results.rglob("*.tmp"))


def test_every_row_is_in_the_table(checkout: Checkout) -> None:
    table = pd.read_csv(checkout.results / "tables/metrics.csv")
    rows = {"llama2", "gpt3", "bert", "t5", "captions", "rewritten-t5", "shuffled-t5", "pretrained"}
    assert set(table["llm"]) == rows
    assert set(table["loss"]) == {"contrastive", "hinge", "none"}
    values = table["value"].to_numpy()
    assert np.isfinite(values).all()
    assert ((table["ci_low"] <= table["value"]) & (table["value"] <= table["ci_high"])).mean() > 0.9


def test_a_second_run_finds_nothing_to_do(checkout: Checkout) -> None:
    assert "Nothing to be done" in checkout.snakemake()


def test_the_image_tower_trains_where_its_entry_says_so(checkout: Checkout) -> None:
    before = load_file(ROOT / "clipdiff/demo/assets/clip/open_clip_model.safetensors")
    table = pd.read_csv(checkout.results / "tables/metrics.csv")
    probed = table[table["task"] == "linear_probe"]
    assert set(probed["loss"]) == {"none", "contrastive"}
    for loss in ("contrastive", "hinge"):
        path = checkout.results / f"models/bert/{loss}/seed0/open_clip_model.safetensors"
        after = load_file(path)
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        assert any(name.startswith("visual.") for name in moved) == (loss == "contrastive")


@pytest.mark.parametrize("edit", ["margin: 0.3", "train: {lr: 1.0e-4}"])
def test_editing_an_entry_reruns_its_cells_only(
    checkout: Checkout, tmp_path: Path, edit: str
) -> None:
    preset = tmp_path / "edit.yaml"
    preset.write_text(f"loss_definitions: {{hinge: {{{edit}}}}}\n")
    said = checkout.snakemake("-n", presets=(preset,))
    rows = [line.split() for line in said.splitlines()]
    counts = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}
    counts.pop("jobid:", None)
    assert counts == {"train": 7, "evaluate": 7, "gather": 1, "all": 1, "total": 16}


def test_an_ablation_is_one_more_cell(checkout: Checkout, tmp_path: Path) -> None:
    preset = tmp_path / "ablation.yaml"
    preset.write_text(
        "llms: [llama2, gpt3, bert, t5, unfiltered]\n"
        "losses: [contrastive, hinge, hinge_both]\n"
        "evaluate: {tasks: [linear_probe, zero_shot]}\n"
        "llm_definitions: {unfiltered: {kind: reuse, model: llama2, filter: {enabled: false}}}\n"
        "loss_definitions: {hinge_both: {kind: hinge, train: {trainable: both, pairs: 64}}}\n"
    )
    answers = checkout.results / "generations/llama2.parquet"
    asked = answers.stat().st_mtime_ns
    cell = "unfiltered/hinge_both/seed0"
    checkout.snakemake(f"results/metrics/{cell}.json", presets=(preset,))
    assert answers.stat().st_mtime_ns == asked
    differences = pd.read_parquet(checkout.results / "differences/unfiltered.parquet")
    assert differences["kept"].all()
    written = json.loads((checkout.results / f"metrics/{cell}.json").read_text())["rows"]
    assert {row["task"] for row in written} == {"linear_probe", "zero_shot"}
    told = json.loads((checkout.results / f"models/{cell}/provenance.json").read_text())
    assert told["settings"]["train"]["trainable"] == "both"
    assert told["settings"]["train"]["pairs"] == 64


def test_one_cell_made_again_gives_the_same_numbers(checkout: Checkout) -> None:
    metrics = checkout.results / f"metrics/{CELL}.json"
    before = json.loads(metrics.read_text())["rows"]
    weights = checkout.results / f"models/{CELL}/open_clip_model.safetensors"
    bytes_before = weights.read_bytes()
    weights.unlink()
    metrics.unlink()
    checkout.snakemake(metrics.relative_to(checkout.folder))
    assert weights.read_bytes() == bytes_before
    assert json.loads(metrics.read_text())["rows"] == before


def test_the_exported_model_gives_the_evaluated_numbers(checkout: Checkout) -> None:
    folder = f"local-dir:{checkout.results / 'models' / CELL}"
    model, _, preprocess = open_clip.create_model_and_transforms(folder)
    tokenize = open_clip.get_tokenizer(folder)
    pictures = pd.read_parquet(checkout.results / "data/captions.parquet")
    names = sorted(pictures["label"].unique())
    shown = pictures[pictures["split"] == "test_scenes"]
    with torch.no_grad():
        images = torch.stack([preprocess(decode(data)) for data in shown["image"]])
        image_embeds = model.eval().encode_image(images, normalize=True)
        prompts = tokenize([f"This is a photo of a {name}" for name in names])
        text_embeds = model.encode_text(prompts, normalize=True)
    found = (image_embeds @ text_embeds.T).argmax(1)
    acc1 = np.mean([names[row] == label for row, label in zip(found, shown["label"], strict=True)])
    rows = pd.DataFrame(json.loads((checkout.results / f"metrics/{CELL}.json").read_text())["rows"])
    wanted = rows.query(
        "task == 'zero_shot' and metric == 'acc1' and split == 'test_scenes' "
        "and weights == 'finetuned'"
    )
    assert wanted["value"].item() == pytest.approx(acc1)


def decode(data: bytes):
    """Open one picture."""
    import io

    from PIL import Image

    return Image.open(io.BytesIO(data)).convert("RGB")
