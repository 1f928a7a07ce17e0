"""A tiny CLIP, images and differences in files, and the call of the stage on them."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from clipdiff.config.stages import EmbedSettings, TrainSettings
from clipdiff.embed.embed import embed
from clipdiff.grid import Cell, Layout
from clipdiff.losses.base import LOSSES
from clipdiff.settings import Clip, Train
from clipdiff.train.run import train

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))  # gloo_rank.py
RANK = Path(__file__).with_name("rank_of_trainings.py")
WEIGHTS = "open_clip_model.safetensors"
MODEL_CFG = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16,
    },
    "text_cfg": {
        "context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2,
    },
}  # fmt: skip
IMAGES, PAIRS = 12, 40
WORDS = ["red", "blue", "larger", "smaller", "one", "two", "fox", "owl", "boat", "tree"]
SECTION = {"batch": 12, "epochs": 2, "lr": 1e-2, "log_every": 1, "checkpoint_every": 3}


def save_clip(folder: Path) -> None:
    """Write an open_clip folder of random weights."""
    folder.mkdir(parents=True)
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
    config = {"model_cfg": MODEL_CFG, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / WEIGHTS)


def image(rng: np.random.Generator) -> bytes:
    """Draw a random PNG."""
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


class Bench:
    """The files of one training under a root, and runs of it with changed settings."""

    def __init__(self, root: Path):
        self.root = root
        self.files = Layout(root)
        self.clip = Clip(model=f"local-dir:{root / 'clip'}")
        self.cell = Cell.of("bert", "loss", "0")
        save_clip(root / "clip")
        rng = np.random.default_rng(0)
        ids = np.arange(IMAGES) * 3 + 5
        self.captions = pd.DataFrame({"image_id": ids, "path": None, "split": "train"})
        self.captions["caption"] = "an image"
        self.captions["image"] = [image(rng) for _ in ids]
        self.files.captions.parent.mkdir()
        self.captions.to_parquet(self.files.captions)
        embed(EmbedSettings(clip=self.clip), self.files.captions, self.files.image_embeds)
        pairs = [rng.choice(ids, 2, replace=False) for _ in range(PAIRS)]
        texts = [" ".join(rng.choice(WORDS, rng.integers(3, 12))) for _ in range(PAIRS)]
        self.differences = pd.DataFrame(pairs, columns=["image_id_1", "image_id_2"])
        self.differences.insert(0, "pair_id", range(PAIRS))
        self.differences["difference"] = texts
        self.differences["kept"] = True
        self.write(self.differences)

    def write(self, differences: pd.DataFrame) -> None:
        """Write the cell's differences."""
        path = self.files.differences(self.cell.row)
        path.parent.mkdir(exist_ok=True)
        differences.to_parquet(path)

    def settings(self, loss: dict | None = None, **changes) -> TrainSettings:
        """Settings of the cell; ``changes`` go to the train section."""
        return TrainSettings(
            llm=str(self.cell.row), loss_name=self.cell.loss, seed=0, clip=self.clip,
            loss=LOSSES.make(loss or {"kind": "contrastive", "logit_scale": 10.0}),
            train=Train(**SECTION | changes),
        )  # fmt: skip

    def train(self, settings: TrainSettings, name: str) -> Path:
        """Run the stage here, with outputs under a name; return the exported folder."""
        output = self.root / name / "model"
        train(
            settings, self.files.captions, self.files.image_embeds,
            self.files.differences(self.cell.row), output, self.root / name / "checkpoints",
        )  # fmt: skip
        return output

    def start(self, settings: TrainSettings, root: Path) -> subprocess.Popen:
        """Start ``clipdiff train`` in processes of its own, with its results under ``root``."""
        for folder in ("data", "embeds", "differences"):
            (root / folder).symlink_to(self.root / folder)
        return self.resume(settings, root)

    def resume(self, settings: TrainSettings, root: Path) -> subprocess.Popen:
        """Start the same command once more."""
        command = [sys.executable, "-m", "clipdiff.cli", "train"]
        command += ["--settings", json.dumps(settings.result()), "--results", str(root)]
        command += ["--compute", json.dumps(settings.compute())]
        log = open(root / "log", "a")  # noqa: SIM115 (the process outlives the call)
        return subprocess.Popen(
            command, stdout=log, stderr=log, cwd=ROOT, env=os.environ, start_new_session=True
        )

    def finished(self, process: subprocess.Popen, root: Path) -> Path:
        """Wait for a started training; return its exported folder."""
        assert process.wait(timeout=600) == 0, (root / "log").read_text()[-3000:]
        return Layout(root).model(self.cell)

    def run_together(self, cases: dict[str, dict], ranks: int, folder: Path) -> str:
        """Run trainings one after the other in one group of processes; return what they log.

        Args:
            cases: name -> what ``settings`` takes, and ``kernels``, the backend of the loss.
            ranks: number of processes.
            folder: each case's ``model`` and ``checkpoints`` lie in a folder of its name there.
        """
        jobs = [
            {
                "kernels": changes.get("kernels", "auto"),
                "settings": self.settings(
                    **{name: each for name, each in changes.items() if name != "kernels"},
                    ranks=ranks,
                ).model_dump(mode="json"),
                "captions": str(self.files.captions),
                "embeds": str(self.files.image_embeds),
                "differences": str(self.files.differences(self.cell.row)),
                "output": str(folder / name / "model"),
                "checkpoints": str(folder / name / "checkpoints"),
            }
            for name, changes in cases.items()
        ]
        (folder / "jobs.json").write_text(json.dumps(jobs))
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        launch += [f"--nproc-per-node={ranks}", str(RANK), str(folder / "jobs.json")]
        done = subprocess.run(
            launch, check=False, timeout=900, capture_output=True, text=True,
            env=os.environ | {"TRITON_INTERPRET": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stderr


@pytest.fixture(scope="session")
def bench(tmp_path_factory) -> Bench:
    """Made once; tests that change its differences write the old ones back."""
    return Bench(tmp_path_factory.mktemp("train"))


@pytest.fixture
def curve() -> Callable[[Path], list[float]]:
    """The function that reads the losses of an exported folder's log."""

    def read(folder: Path) -> list[float]:
        lines = (folder / "train_log.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]

    return read


@pytest.fixture
def weights() -> Callable[[Path], dict[str, torch.Tensor]]:
    """The function that reads the weights of an exported folder."""
    return lambda folder: load_file(folder / WEIGHTS)
