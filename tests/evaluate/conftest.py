"""A tiny CLIP with files of its own, and one small evaluation by it."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import open_clip
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from clipdiff.config.stages import EvaluateSettings
from clipdiff.datasets.demo import Demo
from clipdiff.evaluate.run import evaluate
from clipdiff.files import read_json, read_parquet, write_tensors
from clipdiff.grid import Layout
from clipdiff.settings import Clip, Evaluate
from clipdiff.tasks.base import TASKS

ROOT = Path(__file__).parents[2]
WEIGHTS = "open_clip_model.safetensors"
COUNTS = {"validation": 40, "test_scenes": 40}
MODEL_CFG = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16,
    },
    "text_cfg": {
        "context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1,
    },
}  # fmt: skip


def save_clip(folder: Path, seed: int, **changes: object) -> Path:
    """Write an open_clip folder of random weights."""
    folder.mkdir(parents=True)
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
    config = {"model_cfg": MODEL_CFG | changes, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / WEIGHTS)
    return folder


class Bench:
    """Files of one small evaluation, and the call with any of its inputs changed."""

    def __init__(self, root: Path):
        self.root, self.layout = root, Layout(root)
        self.captions, self.embeds = self.layout.captions, self.layout.image_embeds
        self.clip = save_clip(root / "clip", seed=0)
        self.cell = save_clip(root / "cell", seed=1)
        self.table = Demo().captions({"train": 2, "validation": 40, "test": 40}, seed=0)
        self.table = self.table[self.table["split"].isin(COUNTS)].reset_index(drop=True)
        self.captions.parent.mkdir()
        self.table.to_parquet(self.captions)
        self.image_embeds = self.embed(self.clip)
        self.write_embeds(self.image_embeds)

    def embed(self, folder: Path) -> torch.Tensor:
        """Embed all images by open_clip alone."""
        model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
        images = [Image.open(io.BytesIO(data)).convert("RGB") for data in self.table["image"]]
        with torch.no_grad():
            return model.eval().encode_image(torch.stack(list(map(preprocess, images))), True)

    def write_embeds(self, image_embeds: torch.Tensor) -> None:
        """Write the cached embeddings of the first images."""
        ids = torch.tensor(self.table["image_id"].to_numpy()[: len(image_embeds)])
        write_tensors(self.embeds, {"image_embeds": image_embeds, "image_ids": ids})

    def settings(
        self, entries: Mapping[str, Mapping[str, Any]] | None = None, **changes: Any
    ) -> EvaluateSettings:
        """Settings of one cell; ``changes`` go to the evaluate section, ``entries`` to tasks."""
        section = yaml.safe_load((ROOT / "config.yaml").read_text())["evaluate"] | {
            "splits": list(COUNTS), "draws": 2, "images_per_draw": 30, "pairs_per_draw": 20,
            "resamples": 50, **changes,
        }  # fmt: skip
        whole = Evaluate.model_validate(section)
        values = {"clip_score": {"edits": 12}, **(entries or {})}
        names = [name for split in whole.splits for name in whole.for_split(split).tasks]
        clip = Clip(model=f"local-dir:{self.clip}")
        return EvaluateSettings(
            llm="bert", loss_name="hinge", seed="0", image_tower_trained=False,
            text_llm="bert", writer="t5", clip=clip, reference_clip=clip, evaluate=whole,
            tasks={name: TASKS.make(values.get(name, {}), name) for name in names},
        )  # fmt: skip

    def run(self, settings=None, model="cell", name="out", captions=None):
        """Evaluate, and return rows and items."""
        metrics, items = self.root / f"{name}.json", self.root / f"{name}.items.parquet"
        folder = getattr(self, model) if isinstance(model, str) else model
        captions, settings = captions or self.captions, settings or self.settings()
        evaluate(settings, captions, self.embeds, folder, metrics, items, self.layout)
        return pd.DataFrame(read_json(metrics)["rows"]), read_parquet(items)

    def changed_captions(self, **columns) -> Path:
        """Write a captions table with other columns."""
        layout = Layout(self.root / "changed")
        layout.captions.parent.mkdir(parents=True, exist_ok=True)
        self.table.assign(**columns).to_parquet(layout.captions)
        return layout.captions


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Bench:
    """Made once; tests that change files restore them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return Bench(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture
def bench(shared: Bench):
    """The shared bench with its embeddings restored after the test."""
    yield shared
    shared.write_embeds(shared.image_embeds)


@pytest.fixture
def make_clip() -> Callable[..., Path]:
    """The function that writes a tiny open_clip folder."""
    return save_clip
