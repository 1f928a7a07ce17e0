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
    image_embeds: Tensor | None  # (M, D), distinct; None where the image tower makes them
    num_images: int  # those that it makes
    num_zero_rows: int  # that follow them, 0 or 1: the second image of caption pairs
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
        self.tokens, self.image_embeds, self.text_ids = (
            each.to(device) for each in (data.tokens, data.image_embeds, data.text_ids)
        )
        self.groups_texts = groups_texts

    def batch(self, rows: Tensor) -> Batch:
        """Return the batch of some rows (N,), with this rank's share in pieces."""
        share = rows[self.ranks.share(len(rows))] if self.trains_text else rows[:0]
        used, pair_index = self._pairs(rows)
        image_embeds: Tensor | None = None
        num_images = num_zero_rows = 0
        if self.load_images is None:
            image_embeds = self._embeds(used)
        else:  # the zero row of caption pairs is the last; the tower embeds only the others
            num_images = int((used < self.total_images).sum())
            num_zero_rows = len(used) - num_images
        images = used[:num_images][self.ranks.share(num_images)]
        return Batch(
            pair_index=pair_index,
            image_embeds=image_embeds,
            num_images=num_images,
            num_zero_rows=num_zero_rows,
            group_ids=self.text_ids[self._there(rows)] if self.groups_texts else None,
            pieces=self._pieces(share, images, len(rows), num_images),
        )

    def frozen_pairs(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return image_embeds (M, D) of some rows (N,), from before training, and pairs (N, 2)."""
        used, pair_index = self._pairs(rows)
        return self._embeds(used), pair_index

    def _pairs(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return which images these rows have, (M,) on the CPU, and their pairs of them, (N, 2).

        The kernels choose by N / M. Here, where the pairs lie on the CPU, M costs no wait.
        """
        used, places = self.cpu_pairs[rows].unique(return_inverse=True)
        return used, self._there(places)

    def _embeds(self, used: Tensor) -> Tensor:
        return self.image_embeds[self._there(used)]

    def _there(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)

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
            tokens = self.tokens[self._there(rows), :longest]
        if self.load_images is not None:
            rows = images if len(images) else torch.zeros(1, dtype=torch.int64)
            pixels = self._there(self.load_images(rows))
        return Piece(tokens, len(texts), pixels, len(images))
