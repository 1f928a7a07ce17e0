"""What one cell trains on: checked pairs, their texts as tokens, and the image embeddings."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from clipdiff.errors import DataError
from clipdiff.files import read_parquet, read_tensors
from clipdiff.settings import Train
from clipdiff.towers.load import LoadedClip
from clipdiff.train.subset import training_part

log = logging.getLogger(__name__)

COLUMNS = ("pair_id", "image_id_1", "image_id_2", "difference", "kept")
EQUAL = 1e-6  # the losses' eps: a shorter difference has no direction


@dataclass(frozen=True)
class TrainingData:
    """N training pairs over M images.

    ``image_embeds`` is (M, D) float32, or (M + 1, D) where texts are captions: then its last row
    is zero, and a pair (i, M) is the image i itself. ``image_ids`` is (M,).
    """

    image_embeds: Tensor
    image_ids: np.ndarray
    pair_index: Tensor  # (N, 2) int64
    tokens: Tensor  # (N, L) int64, L the longest text
    lengths: Tensor  # (N,) int64, on the CPU
    text_ids: Tensor  # (N,) int64, equal where the texts are

    def __str__(self) -> str:
        return (
            f"{len(self.pair_index)} pairs of {len(self.image_ids)} images, texts of "
            f"{self.tokens.shape[1]} tokens at most"
        )


def read_training_data(
    clip: LoadedClip, train: Train, captions: Path, embeds: Path, differences: Path
) -> TrainingData:
    """Read one row of the table's texts and the images' embeddings, and check them.

    Args:
        clip: whose tokenizer to use.
        train: the section as it holds for the cell, which says how many pairs and images.
        captions: ``data/captions.parquet``; read where the number of images is limited.
        embeds: ``embeds/image_embeds.safetensors``.
        differences: ``differences/{llm}.parquet``; only its kept rows count.

    Raises:
        DataError: a file is missing or truncated, no row is kept or left of those, a text is empty,
            a pair is one image with itself, or an image has no embedding (names file and row).
    """
    table = read_parquet(differences, COLUMNS)
    kept = table[table["kept"].astype(bool)]
    if not len(kept):
        raise DataError(
            f"{differences}: none of its {len(table)} rows is kept; look at its drop_reason, then "
            "relax the section filter or correct the LLM's prompt"
        )
    _check_rows(kept, differences)
    kept = training_part(kept, train, captions, differences)
    image_embeds, image_ids, pairs = _embeddings_of(kept, embeds, differences)
    lengths = (image_embeds[pairs[:, 0]] - image_embeds[pairs[:, 1]]).norm(dim=1)  # (N,)
    differ = (lengths > EQUAL).numpy()
    if not differ.all():
        log.info("%d pairs of equal embeddings dropped", int((~differ).sum()))
    if not differ.any():
        raise DataError(f"{embeds}: the images of every pair have equal embeddings")
    texts = kept["difference"][differ].astype(str).tolist()
    tokens = clip.tokenize(texts)  # (N, context length)
    ends = clip.text_tower.lengths(tokens)
    _, text_ids = np.unique(texts, return_inverse=True)
    return TrainingData(
        image_embeds=image_embeds,
        image_ids=image_ids,
        pair_index=pairs[torch.from_numpy(differ)],
        tokens=tokens[:, : int(ends.max())].contiguous(),
        lengths=ends,
        text_ids=torch.from_numpy(text_ids),
    )


def _check_rows(kept: pd.DataFrame, path: Path) -> None:
    empty = kept["difference"].isna() | (kept["difference"].astype(str).str.strip() == "")
    itself = kept["image_id_1"] == kept["image_id_2"]
    for wrong, what in (
        (empty, "a kept text is empty"),
        (itself, "a pair of an image and itself"),
    ):
        if wrong.any():
            row = kept.index[int(wrong.to_numpy().argmax())]
            raise DataError(f"{path}, row {row}: {what}; correct or delete the file and run again")


def _embeddings_of(
    kept: pd.DataFrame, embeds: Path, differences: Path
) -> tuple[Tensor, np.ndarray, Tensor]:
    """Return embeddings (M[ + 1], D) of the images in use, their ids (M,), pairs (N, 2)."""
    tensors = read_tensors(embeds)
    if set(tensors) != {"image_embeds", "image_ids"}:
        raise DataError(
            f"{embeds}: holds {sorted(tensors)}, expected image_embeds and image_ids; "
            "delete it and run `clipdiff embed` again"
        )
    ids = kept[["image_id_1", "image_id_2"]].to_numpy(np.float64, na_value=-1).astype(np.int64)
    places = pd.Index(tensors["image_ids"].numpy()).get_indexer(ids.ravel()).reshape(ids.shape)
    is_caption = kept["image_id_2"].isna().to_numpy()
    lacking = (places < 0) & ~np.stack([np.zeros_like(is_caption), is_caption], axis=1)
    if lacking.any():
        row, column = np.argwhere(lacking)[0]
        raise DataError(
            f"{differences}, row {kept.index[row]}: image_id {ids[row, column]} has no embedding "
            f"in {embeds}; delete that file and run `clipdiff embed` again"
        )
    used, pairs = np.unique(places, return_inverse=True)
    pairs = pairs.reshape(ids.shape)
    image_embeds = tensors["image_embeds"].float()
    if is_caption.any():  # places of -1 come first in ``used``; they become the zero row
        used, pairs = used[1:], (pairs - 1) % len(used)
        zero = image_embeds.new_zeros(1, image_embeds.shape[1])
        return (
            torch.cat([image_embeds[used], zero]),
            tensors["image_ids"].numpy()[used],
            torch.from_numpy(pairs),
        )
    return image_embeds[used], tensors["image_ids"].numpy()[used], torch.from_numpy(pairs)
