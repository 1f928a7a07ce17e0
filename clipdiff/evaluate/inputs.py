"""What an evaluation starts from: the images of its splits and their cached embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from clipdiff.errors import ModelError
from clipdiff.evaluate.image_embeds import read_image_embeds
from clipdiff.settings import Evaluate
from clipdiff.tasks.base import Paint, TextEmbeds, Validation, View
from clipdiff.tasks.measuring.splits import Split, make_splits, read_captions
from clipdiff.towers.encode import TextEncoder, encode_texts
from clipdiff.towers.load import LoadedClip


@dataclass(frozen=True)
class Inputs:
    """The evaluated splits; ``image_embeds`` (M, D) are of their images, one by one.

    ``image_ids`` (M,) has the row of ``captions``, the captions table, as its index.
    """

    splits: list[Split]
    captions: Path
    image_ids: pd.Series
    image_embeds: Tensor

    def parts(self, image_embeds: Tensor) -> dict[str, Tensor]:
        """Cut image_embeds (M, D) of the images into those of each split."""
        parts = image_embeds.split([len(split.rows) for split in self.splits])
        return {split.name: part for split, part in zip(self.splits, parts, strict=True)}

    def views(
        self,
        evaluate: Evaluate,
        text_embeds: TextEmbeds,
        image_embeds: Tensor,
        paint: Paint | None = None,
    ) -> dict[str, View]:
        """Return a model's view of each split, each with that of its validation split.

        Args:
            evaluate: the section, which names the validation splits.
            text_embeds: the model's, of all texts that tasks ask for.
            image_embeds: (M, D), the model's, of the images one by one.
            paint: of a judge.
        """
        parts = self.parts(image_embeds)
        validation = {name: parts.get(evaluate.for_split(name).validation) for name in parts}
        return {
            name: View(text_embeds, part, validation[name], paint) for name, part in parts.items()
        }

    def validations(self, encode: TextEncoder) -> dict[str, Validation]:
        """Return each split as one that choices are made on, seen by a CLIP's present weights."""
        parts = self.parts(self.image_embeds)
        return {split.name: Validation(split, parts[split.name], encode) for split in self.splits}


def read_inputs(captions: Path, embeds: Path, names: Sequence[str], clip: LoadedClip) -> Inputs:
    """Read the images of some splits and their embeddings.

    Args:
        captions: ``data/captions.parquet``.
        embeds: ``embeds/image_embeds.safetensors``.
        names: the splits.
        clip: the CLIP that has to have made the embeddings.

    Raises:
        DataError: a file is missing or truncated, or lacks a split or image.
        ModelError: the embeddings are another CLIP's.
    """
    table = read_captions(captions)
    splits = make_splits(table, names, captions)
    rows = np.concatenate([split.rows for split in splits])
    image_ids = table["image_id"].iloc[rows]
    cached = read_image_embeds(embeds, image_ids.to_numpy())
    width = encode_texts(clip, []).shape[1]
    if cached.shape[1] != width:
        raise ModelError(
            f"{embeds}: embeddings of width {cached.shape[1]}, but clip.model makes {width}; they "
            "are another CLIP's: delete the file and run `clipdiff embed` again"
        )
    return Inputs(splits, captions, image_ids, cached)
