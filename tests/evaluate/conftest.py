"""Attributed pictures with embeddings that are chosen, and a tiny CLIP with files of its own."""

import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from clipdiff.config.load import load_config
from clipdiff.settings import Clip, Data, Evaluate
from clipdiff.config.stages import EvaluateSettings
from clipdiff.demo.table import demo_captions
from clipdiff.tasks.base import TextEmbeds, View
from clipdiff.evaluate.run import evaluate
from clipdiff.tasks.measuring.splits import Split, make_splits
from clipdiff.files import read_json, read_parquet, write_tensors

SIZES = ["small", "medium", "large"]
COLOURS = ["red", "green", "blue", "black"]
NAMES = ["fox", "palm tree", "boat", "apple", "drum", "owl"]
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


@pytest.fixture
def settings() -> Evaluate:
    """The embedded default's evaluate section, with fewer resamples."""
    root = Path(__file__).parents[2]
    section = load_config(root / "config.yaml").evaluate
    return section.model_copy(update={"resamples": 200, "images_per_draw": 60})


@pytest.fixture
def table() -> pd.DataFrame:
    """Two splits of 150 and 72 pictures, every combination of attributes in order."""
    rows = []
    for split, count in (("validation", 150), ("test_scenes", 72)):
        combinations = itertools.cycle(itertools.product(NAMES, SIZES, (1, 2, 3), COLOURS))
        for name, size, number, colour in itertools.islice(combinations, 0, 7 * count, 7):
            attributes = {"object": name, "size": size, "count": number, "background": colour}
            rows.append(
                {
                    "caption": f"{number} {size} {name} on {colour}, picture {len(rows)}",
                    "split": split,
                    "label": name,
                    "attributes": json.dumps(attributes),
                }
            )
    made = pd.DataFrame(rows)
    made.insert(0, "image_id", np.arange(len(made)) * 3 + 7)
    return made


@pytest.fixture
def splits(table: pd.DataFrame) -> dict[str, Split]:
    """The two splits of ``table``."""
    made = make_splits(table, ["validation", "test_scenes"], Path("captions.parquet"))
    return {split.name: split for split in made}


@pytest.fixture
def split(splits: dict[str, Split]) -> Split:
    """The larger split."""
    return splits["validation"]


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """L2-normalise rows."""
    return torch.nn.functional.normalize(vectors, dim=1)


def attribute_vector(row: dict) -> list[float]:
    """Embed a picture: one coordinate for size and for count, one a colour, one a name."""
    ordinal = [SIZES.index(row["size"]) - 1.0, row["count"] - 2.0]
    nominal = [("background", COLOURS), ("object", NAMES)]
    return ordinal + [float(row[name] == word) for name, words in nominal for word in words]


def difference_vector(text: str) -> list[float]:
    """Embed a difference text where it says that the first picture lies, seen from the second."""
    vector = np.zeros(2 + len(COLOURS) + len(NAMES))
    for place, words in enumerate((("larger", "smaller"), ("more", "fewer"))):
        vector[place] = sum(
            sign * (word in text) for sign, word in zip((1, -1), words, strict=True)
        )
    for sentence in text.split("."):
        first, _, second = sentence.partition(" and ")
        for place, word in enumerate(COLOURS + NAMES, start=2):
            vector[place] += (word in first) - float(word in second)
    return vector.tolist()


@pytest.fixture
def planted_view() -> Callable[[Split, list[str]], View]:
    """Embed pictures by their attributes, and texts by the difference that they state."""

    def embed(split: Split, texts: list[str]) -> View:
        texts = list(dict.fromkeys(texts))
        text_embeds = unit(torch.tensor([difference_vector(text) for text in texts]))
        image_embeds = unit(torch.tensor([attribute_vector(row) for row in split.attributes]))
        return View(TextEmbeds(texts, text_embeds), image_embeds)

    return embed


@pytest.fixture
def random_view() -> Callable[[list[str], int, int], View]:
    """Embed texts and n pictures at random."""

    def embed(texts: list[str], count: int, seed: int) -> View:
        generator = torch.Generator().manual_seed(seed)
        texts = list(dict.fromkeys(texts))
        text_embeds = unit(torch.randn(len(texts), 16, generator=generator))
        pictures = unit(torch.randn(count, 16, generator=generator))
        return View(TextEmbeds(texts, text_embeds), pictures)

    return embed


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
        self.root = root
        self.captions = root / "captions.parquet"
        self.embeds = root / "image_embeds.safetensors"
        self.clip = save_clip(root / "clip", seed=0)
        self.cell = save_clip(root / "cell", seed=1)
        sizes = {"train_images": 2, "validation_images": 40, "test_images": 40}
        self.table = demo_captions(Data(source="demo", pairs=1, **sizes))
        self.table = self.table[self.table["split"].isin(COUNTS)].reset_index(drop=True)
        self.table.to_parquet(self.captions)
        self.image_embeds = self.embed(self.clip)
        self.write_embeds(self.image_embeds)

    def embed(self, folder: Path) -> torch.Tensor:
        """Embed all pictures by open_clip alone."""
        model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
        opened = [Image.open(io.BytesIO(data)).convert("RGB") for data in self.table["image"]]
        with torch.no_grad():
            return model.eval().encode_image(torch.stack(list(map(preprocess, opened))), True)

    def write_embeds(self, image_embeds: torch.Tensor) -> None:
        """Write the cached embeddings of the first pictures."""
        ids = torch.tensor(self.table["image_id"].to_numpy()[: len(image_embeds)])
        write_tensors(self.embeds, {"image_embeds": image_embeds, "image_ids": ids})

    def settings(self, **changes) -> EvaluateSettings:
        """Settings of one cell; ``changes`` go to the evaluate section."""
        section = load_config("config.yaml").evaluate.model_copy(
            update={
                "splits": list(COUNTS), "draws": 2, "images_per_draw": 30, "pairs_per_draw": 20,
                "edits": 12, "resamples": 50, **changes,
            }
        )  # fmt: skip
        clip = Clip(model=f"local-dir:{self.clip}")
        return EvaluateSettings(
            llm="bert", loss_name="hinge", seed="0", image_tower_trained=False,
            text_llm="bert", writer="t5", clip=clip, reference_clip=clip, evaluate=section,
        )  # fmt: skip

    def run(self, settings=None, model="cell", name="out", captions=None):
        """Evaluate, and return rows and items."""
        metrics, items = self.root / f"{name}.json", self.root / f"{name}.items.parquet"
        folder = getattr(self, model) if isinstance(model, str) else model
        captions = captions or self.captions
        chosen, texts = settings or self.settings(), self.root / "evaluation_texts"
        evaluate(chosen, captions, self.embeds, folder, metrics, items, texts)
        return pd.DataFrame(read_json(metrics)["rows"]), read_parquet(items)

    def changed_captions(self, **columns) -> Path:
        """Write a captions table with other columns."""
        path = self.root / "changed.parquet"
        self.table.assign(**columns).to_parquet(path)
        return path


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Bench:
    """Made once; tests that change files restore them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parents[2])
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
