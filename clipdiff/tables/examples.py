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
from clipdiff.grid import Results, Variant
from clipdiff.tables.measures import FINETUNED, Measure
from clipdiff.tables.outcomes import Outcomes

COLUMNS = ("image_id", "path", "caption", "label", "attributes")
SCORE = Measure("score", "difference/mean", "score", "Score", "Score", grouped=True)


@dataclass(frozen=True)
class Picture:
    """One picture: encoded bytes or a path, and its caption."""

    data: bytes | str
    caption: str


@dataclass(frozen=True)
class ScoredPair:
    """A held-out pair, what its true text says, and <text, difference> before and after.

    Right is above 0.
    """

    first: Picture
    second: Picture
    attribute: str
    values: tuple[str, str]
    before: float
    after: float


@dataclass(frozen=True)
class WrittenPair:
    """A training pair, and what each LLM wrote about it: (llm, text, note)."""

    first: Picture
    second: Picture
    texts: list[tuple[str, str, str]]


class Shown:
    """The captions table by image_id; pictures stay on the disk until one is wanted.

    Args:
        path: ``data/captions.parquet``.
    """

    def __init__(self, path: Path):
        self.path = path
        self.table = read_parquet(path, COLUMNS, optional=()).set_index("image_id")

    def picture(self, image_id: int) -> Picture:
        """Return one picture."""
        row, wanted = self.table.loc[image_id], [("image_id", "==", int(image_id))]
        data = read_parquet(self.path, ("image",), (), filters=wanted)["image"].iloc[0]
        caption = row["caption"] if isinstance(row["caption"], str) else "(no caption)"
        return Picture(data if isinstance(data, bytes) else str(row["path"]), caption)

    def value(self, image_id: int, attribute: str) -> str:
        """Return a picture's value of an attribute; its class where that decides, as in AwA2."""
        row = self.table.loc[image_id]
        known = {} if pd.isna(row["attributes"]) else json.loads(row["attributes"])
        return str(known.get(attribute, "?" if pd.isna(row["label"]) else row["label"]))


def scored_pairs(
    scores: Sequence[Outcomes],
    splits: Sequence[str],
    chosen: tuple[str, str],
    captions: Shown,
    count: int,
    seed: int,
) -> list[ScoredPair]:
    """Draw held-out pairs, the attributes taking turns.

    Args:
        scores: outcomes of ``SCORE``.
        splits: where to draw from: the first of them with scores.
        chosen: LLM and loss of the cell to show; its seeds are averaged.
        captions: their captions, attributes and pictures.
        count: how many.
        seed: of the draw.
    """
    found = [o for o in scores if o.split in splits and o.weights == FINETUNED]
    if not found:
        return []
    outcome, items = found[0], found[0].items
    after = outcome.cell_mean(*chosen)
    rng = np.random.default_rng(seed)
    tasks = np.unique(items.tasks)
    queues = [rng.permutation(np.flatnonzero(items.tasks == task)) for task in tasks]
    rows = [queues[turn % len(tasks)][turn // len(tasks)] for turn in range(count)
            if turn // len(tasks) < len(queues[turn % len(tasks)])]  # fmt: skip
    pairs = []
    for row in rows:
        ids = (items.image_id_1[row], items.image_id_2[row])
        attribute = items.tasks[row].split("/", 1)[1]
        values = tuple(captions.value(i, attribute) for i in ids)
        pictures = [captions.picture(i) for i in ids]
        before = float(outcome.pretrained[row])
        pairs.append(ScoredPair(*pictures, attribute, values, before, float(after[row])))
    return pairs


def written_pairs(
    files: Results, llms: Sequence[str], captions: Shown, count: int, seed: int
) -> list[WrittenPair]:
    """Draw training pairs, with every LLM's text and what became of it."""
    tables = {llm: read_parquet(files.differences(llm)).set_index("pair_id") for llm in llms}
    first = next(iter(tables.values()))
    ids = np.random.default_rng(seed).permutation(np.sort(first.index))[:count]
    return [
        WrittenPair(
            captions.picture(first.loc[pair_id, "image_id_1"]),
            captions.picture(first.loc[pair_id, "image_id_2"]),
            [
                (llm, str(table.loc[pair_id, "difference"]), _note(table.loc[pair_id]))
                for llm, table in tables.items()
                if pair_id in table.index
            ],
        )
        for pair_id in ids
    ]


def decode(shown: Picture) -> Image.Image:
    """Decode one picture to RGB, at most 160 pixels wide and high.

    Raises:
        DataError: it can't be read.
    """
    source = io.BytesIO(shown.data) if isinstance(shown.data, bytes) else shown.data
    try:
        with Image.open(source) as opened:
            small = opened.convert("RGB")
    except OSError as error:
        raise DataError(
            f"the picture of '{shown.caption}' can't be read ({error}); run `clipdiff prepare` "
            "again, or correct its path"
        ) from error
    small.thumbnail((160, 160))
    return small


def shown_cell(best: tuple[str, str] | None, variants: Sequence[Variant]) -> tuple[str, str]:
    """Return the cell whose examples are shown: the best, or the first of the grid."""
    return best or next((v.llm, v.loss) for v in variants if not v.is_pretrained)


def _note(row: pd.Series) -> str:
    if not row["kept"]:
        return f"dropped: {row['drop_reason']}"
    if pd.isna(row["true"]):
        return "kept"
    return "kept, true" if row["true"] else "kept, false"
