"""Attributed images with embeddings that are chosen."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from clipdiff.settings import Evaluate
from clipdiff.tasks.base import TextEmbeds, View
from clipdiff.tasks.measuring.splits import Split, make_splits

SIZES = ["small", "medium", "large"]
COLOURS = ["red", "green", "blue", "black"]
NAMES = ["fox", "palm tree", "boat", "apple", "drum", "owl"]
CONFIG = Path(__file__).parents[2] / "config.yaml"


@pytest.fixture
def settings() -> Evaluate:
    """The embedded default's evaluate section, with fewer resamples."""
    section = yaml.safe_load(CONFIG.read_text())["evaluate"]
    return Evaluate.model_validate({**section, "resamples": 200, "images_per_draw": 60})


@pytest.fixture
def table() -> pd.DataFrame:
    """Two splits of 150 and 72 images, every combination of attributes in order."""
    rows = []
    for split, count in (("validation", 150), ("test_scenes", 72)):
        combinations = itertools.cycle(itertools.product(NAMES, SIZES, (1, 2, 3), COLOURS))
        for name, size, number, colour in itertools.islice(combinations, 0, 7 * count, 7):
            attributes = {"object": name, "size": size, "count": number, "background": colour}
            rows.append(
                {
                    "caption": f"{number} {size} {name} on {colour}, image {len(rows)}",
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
    """Embed an image: one coordinate for size and for count, one a colour, one a name."""
    ordinal = [SIZES.index(row["size"]) - 1.0, row["count"] - 2.0]
    nominal = [("background", COLOURS), ("object", NAMES)]
    return ordinal + [float(row[name] == word) for name, words in nominal for word in words]


def difference_vector(text: str) -> list[float]:
    """Embed a difference text where it says that the first image lies, seen from the second."""
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
    """Embed images by their attributes, and texts by the difference that they state."""

    def embed(split: Split, texts: list[str]) -> View:
        texts = list(dict.fromkeys(texts))
        text_embeds = unit(torch.tensor([difference_vector(text) for text in texts]))
        image_embeds = unit(torch.tensor([attribute_vector(row) for row in split.attributes]))
        return View(TextEmbeds(texts, text_embeds), image_embeds)

    return embed


@pytest.fixture
def random_view() -> Callable[[list[str], int, int], View]:
    """Embed texts and n images at random."""

    def embed(texts: list[str], count: int, seed: int) -> View:
        generator = torch.Generator().manual_seed(seed)
        texts = list(dict.fromkeys(texts))
        text_embeds = unit(torch.randn(len(texts), 16, generator=generator))
        images = unit(torch.randn(count, 16, generator=generator))
        return View(TextEmbeds(texts, text_embeds), images)

    return embed
