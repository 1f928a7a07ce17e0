"""What the towers and the loss need of one batch, on this rank."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from clipdiff.train.ranks import Ranks
from clipdiff.train.training_data import TrainingData

LoadImages = Callable[[Tensor], Tensor]  # (m,) rows of image_embeds -> (m, 3, H, W) float32


@dataclass(frozen=True)
class Piece:
    """Rows that the towers see at once; a side that does not train, or has no row left, is fed
    one row whose output is cut off, because all ranks have to run equally often."""

    tokens: Tensor | None  # (n, L) int64
    num_texts: int  # rows of them that count
    pixels: Tensor | None  # (m, 3, H, W) float32
    num_images: int


@dataclass(frozen=True)
class Batch:
    """One global batch, as this rank sees it."""

    pair_index: Tensor  # (N, 2) int64, rows of image_embeds
    image_embeds: Tensor | None  # (M, D) resident; None where the image tower makes them
    num_images: int  # distinct images of the batch that the image tower embeds
    group_ids: Tensor | None  # (N,) int64
    pieces: list[Piece]


class BatchSource:
    """Cuts batches out of resident tensors, without waiting for the device.

    Args:
        data: the cell's pairs; the tensors move to ``device`` once.
        ranks: this process among the others.
        device: where the towers are.
        micro_batch: most texts, and most images, that the towers see at once; None for all.
        groups_texts: whether the loss is told which texts of a batch are equal.
        trains_text: whether texts are encoded.
        load_images: decodes images where the image tower trains, else None.
    """

    def __init__(
        self,
        data: TrainingData,
        ranks: Ranks,
        device: torch.device,
        micro_batch: int | None,
        groups_texts: bool,
        trains_text: bool,
        load_images: LoadImages | None,
    ):
        self.ranks, self.device = ranks, device
        self.micro_batch = micro_batch
        self.trains_text, self.load_images = trains_text, load_images
        self.lengths = data.lengths
        self.cpu_pairs = data.pair_index
        self.total_images = len(data.image_ids)
        self.tokens, self.pair_index, self.image_embeds, self.text_ids = (
            each.to(device)
            for each in (data.tokens, data.pair_index, data.image_embeds, data.text_ids)
        )
        self.groups_texts = groups_texts

    def batch(self, rows: Tensor) -> Batch:
        """Return the batch of some rows (N,), with this rank's share in pieces."""
        there = rows.to(self.device, non_blocking=True)
        share = rows[self.ranks.share(len(rows))] if self.trains_text else rows[:0]
        pair_index = self.pair_index[there]
        image_embeds: Tensor | None = self.image_embeds
        images, num_images = rows[:0], 0
        if self.load_images is not None:
            used, places = self.cpu_pairs[rows].unique(return_inverse=True)
            # the zero row of caption pairs is the last; the tower embeds only the others
            num_images = int((used < self.total_images).sum())
            images = used[:num_images][self.ranks.share(num_images)]
            pair_index, image_embeds = places.to(self.device), None
        return Batch(
            pair_index=pair_index,
            image_embeds=image_embeds,
            num_images=num_images,
            group_ids=self.text_ids[there] if self.groups_texts else None,
            pieces=self._pieces(share, images, len(rows), num_images),
        )

    def _pieces(self, texts: Tensor, images: Tensor, count: int, num_images: int) -> list[Piece]:
        """Cut this rank's rows; the number of pieces is that of the rank with the most."""
        most = math.ceil(max(count if self.trains_text else 0, num_images) / self.ranks.size)
        number = math.ceil(most / self.micro_batch) if self.micro_batch else 1
        cut = zip(texts.tensor_split(number), images.tensor_split(number), strict=True)
        return [self._piece(*rows) for rows in cut]

    def _piece(self, texts: Tensor, images: Tensor) -> Piece:
        tokens: Tensor | None = None
        pixels: Tensor | None = None
        if self.trains_text:
            rows = texts if len(texts) else torch.zeros(1, dtype=torch.int64)
            longest = int(self.lengths[rows].max())
            tokens = self.tokens[rows.to(self.device, non_blocking=True), :longest]
        if self.load_images is not None:
            rows = images if len(images) else torch.zeros(1, dtype=torch.int64)
            pixels = self.load_images(rows).to(self.device, non_blocking=True)
        return Piece(tokens, len(texts), pixels, len(images))
