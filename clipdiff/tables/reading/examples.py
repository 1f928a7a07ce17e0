"""Example pairs of the report: drawn at random, so that nobody picked the pretty ones."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from clipdiff.errors import DataError
from clipdiff.files import read_parquet
from clipdiff.grid import Cell, Layout
from clipdiff.tables.reading.item_files import Outcomes
from clipdiff.tables.scope import DIFFERENCE, FINETUNED
from clipdiff.tasks.base import Measure

COLUMNS = ("image_id", "path", "caption", "label", "attributes")
SCORE = Measure("score", DIFFERENCE.task, "score", "Score", "Score", grouped=True)


@dataclass(frozen=True)
class ExampleImage:
    """One image: encoded bytes or a path, and its caption."""

    data: bytes | str
    caption: str


@dataclass(frozen=True)
class ScoredPair:
    """A held-out pair, what its true text says, and <text, difference> before and after.

    Right is above 0.
    """

    first: ExampleImage
    second: ExampleImage
    attribute: str
    values: tuple[str, str]
    before: float
    after: float


@dataclass(frozen=True)
class WrittenPair:
    """A training pair, and what each LLM wrote about it: (llm, text, note)."""

    first: ExampleImage
    second: ExampleImage
    texts: list[tuple[str, str, str]]


class ImageTable:
    """The captions table by image_id; images stay on the disk until one is asked for.

    Args:
        path: ``data/captions.parquet``.
    """

    def __init__(self, path: Path):
        self.path = path
        self.table = read_parquet(path, COLUMNS, optional=()).set_index("image_id")

    def image(self, image_id: int) -> ExampleImage:
        """Return one image."""
        row, same = self.table.loc[image_id], [("image_id", "==", int(image_id))]
        data = read_parquet(self.path, ("image",), (), filters=same)["image"].iloc[0]
        caption = row["caption"] if isinstance(row["caption"], str) else "(no caption)"
        return ExampleImage(data if isinstance(data, bytes) else str(row["path"]), caption)

    def value(self, image_id: int, attribute: str) -> str:
        """Return an image's value of an attribute; its class where that decides, as in AwA2."""
        row = self.table.loc[image_id]
        text = row["attributes"]
        values = json.loads(text) if isinstance(text, str) else {}
        return str(values.get(attribute, "?" if pd.isna(row["label"]) else row["label"]))


def example_arm(best: tuple[str, str] | None, cells: Sequence[Cell]) -> tuple[str, str]:
    """Return the arm that scores the examples: the best, or the first of the grid."""
    return best or next(cell.arm for cell in cells if not cell.is_pretrained)


def scored_pairs(
    outcomes: Sequence[Outcomes],
    splits: Sequence[str],
    arm: tuple[str, str],
    images: ImageTable,
    count: int,
    seed: int,
) -> list[ScoredPair]:
    """Draw held-out pairs, the attributes taking turns.

    Args:
        outcomes: those of ``SCORE``.
        splits: where to draw from: the first of them with scores.
        arm: row and loss, whose seeds are averaged.
        images: their captions, attributes and images.
        count: how many.
        seed: of the draw.
    """
    scores = [each for each in outcomes if each.split in splits and each.weights == FINETUNED]
    if not scores:
        return []
    score, items = scores[0], scores[0].items
    after = score.arm_mean(arm)
    pairs = []
    seconds = items.image_id_1 if items.image_id_2 is None else items.image_id_2
    for row in _in_turns(items.tasks, count, seed):
        first, second = items.image_id_1[row], seconds[row]
        attribute = items.tasks[row].split("/", 1)[1]
        pairs.append(
            ScoredPair(
                first=images.image(first),
                second=images.image(second),
                attribute=attribute,
                values=(images.value(first, attribute), images.value(second, attribute)),
                before=float(score.pretrained[row]),
                after=float(after[row]),
            )
        )
    return pairs


def _in_turns(tasks: np.ndarray, count: int, seed: int) -> list[int]:
    """Draw places in ``tasks`` (N,) of which each task has as many, or all that it has."""
    rng = np.random.default_rng(seed)
    names = np.unique(tasks)
    queues = [rng.permutation(np.flatnonzero(tasks == name)) for name in names]
    turns = [(queues[turn % len(names)], turn // len(names)) for turn in range(count)]
    return [int(queue[place]) for queue, place in turns if place < len(queue)]


def written_pairs(
    layout: Layout, llms: Sequence[str], images: ImageTable, count: int, seed: int
) -> list[WrittenPair]:
    """Draw training pairs, with every LLM's text and what became of it."""
    tables = {llm: read_parquet(layout.differences(llm)).set_index("pair_id") for llm in llms}
    first = next(iter(tables.values()))
    ids = np.random.default_rng(seed).permutation(np.sort(first.index))[:count]
    return [
        WrittenPair(
            images.image(first.loc[pair_id, "image_id_1"]),
            images.image(first.loc[pair_id, "image_id_2"]),
            [
                (llm, str(table.loc[pair_id, "difference"]), _note(table.loc[pair_id]))
                for llm, table in tables.items()
                if pair_id in table.index
            ],
        )
        for pair_id in ids
    ]


def decode(image: ExampleImage) -> Image.Image:
    """Decode an image to RGB, at most 160 pixels wide and high.

    Raises:
        DataError: it can't be read.
    """
    source = io.BytesIO(image.data) if isinstance(image.data, bytes) else image.data
    try:
        with Image.open(source) as opened:
            small = opened.convert("RGB")
    except OSError as error:
        raise DataError(
            f"the image of '{image.caption}' can't be read ({error}); run `clipdiff prepare` "
            "again, or correct its path"
        ) from error
    small.thumbnail((160, 160))
    return small


def _note(row: pd.Series) -> str:
    if not row["kept"]:
        return f"dropped: {row['drop_reason']}"
    if pd.isna(row["true"]):
        return "kept"
    return "kept, true" if row["true"] else "kept, false"
