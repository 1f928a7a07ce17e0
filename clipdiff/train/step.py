"""One training step: towers forward, global loss, towers backward, optimizer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from clipdiff_kernels import Choice
from torch import Tensor, nn

from clipdiff.losses.base import BoundedLoss, KernelLoss
from clipdiff.train.accuracy import in_batch_accuracy
from clipdiff.train.gradients import loss_gradients
from clipdiff.train.inputs import Batch, BatchSource, Piece
from clipdiff.train.ranks import Ranks

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine


@dataclass(frozen=True)
class StepResult:
    """Detached scalars of one step, still on the device; accuracies on logging steps only."""

    loss: Tensor
    mean_cosine: Tensor
    mean_norm: Tensor
    accuracy: tuple[Tensor, Tensor] | None


class Stepper:
    """Takes training steps.

    The towers' outputs are cut off the loss: the loss gives gradients to the embeddings, and these
    go through the towers piece by piece (gradient caching, Gao 2021). With one piece that costs
    nothing; with several, a second forward pass, and memory for one piece only.

    Args:
        engine: the towers in training.
        loss: the cell's loss; its own parameters are stepped by ``loss_optimizer``.
        source: cuts the batches.
        text_embeds: (N, D) of all texts where the text tower is frozen, else None.
        ranks: this process among the others.
        loss_optimizer: None where the loss has nothing to train.
    """

    def __init__(
        self,
        engine: "DeepSpeedEngine",
        loss: nn.Module,
        source: BatchSource,
        text_embeds: Tensor | None,
        ranks: Ranks,
        loss_optimizer: torch.optim.Optimizer | None,
    ):
        self.engine, self.loss, self.source = engine, loss, source
        self.text_embeds, self.ranks, self.loss_optimizer = text_embeds, ranks, loss_optimizer

    def choose_backend(self, rows: Tensor) -> Choice | None:
        """Return how the loss of a batch of rows (N,) is computed, where the loss can say."""
        if not isinstance(self.loss, KernelLoss):
            return None
        images, pair_index = self.source.frozen_pairs(rows)
        images.requires_grad_(self.source.load_images is not None)
        return self.loss.choose_backend(images, pair_index)

    def step(self, rows: Tensor, lr: float, with_accuracy: bool) -> StepResult:
        """Train on one global batch of rows (N,) at a learning rate."""
        batch = self.source.batch(rows)
        whole = len(batch.pieces) == 1
        with torch.set_grad_enabled(whole):
            outputs = [self._run(piece) for piece in batch.pieces]
        texts, images = self._embeddings(batch, outputs, rows)
        gradients = loss_gradients(
            self.loss,
            images,
            batch.pair_index,
            texts,
            batch.group_ids,
            ranks=self.ranks,
            with_images=batch.image_embeds is None,
        )
        accuracy = None
        if with_accuracy:
            gathered = self.ranks.gather(texts, len(rows))
            accuracy = in_batch_accuracy(images, batch.pair_index, gathered)
        image_part = None
        if gradients.images is not None:
            image_part = gradients.images[: batch.num_images][self.ranks.share(batch.num_images)]
        self._backward(batch.pieces, outputs if whole else None, gradients.text, image_part)
        self._update(lr)
        return StepResult(gradients.loss, *gradients.stats, accuracy)

    def _run(self, piece: Piece) -> list[Tensor]:
        """Return the rows that count of each tower's embeddings."""
        counts = [
            count
            for side, count in ((piece.tokens, piece.num_texts), (piece.pixels, piece.num_images))
            if side is not None
        ]
        outputs = self.engine(piece.tokens, piece.pixels)
        return [embeds[:count] for embeds, count in zip(outputs, counts, strict=True)]

    def _embeddings(
        self, batch: Batch, outputs: list[list[Tensor]], rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return this rank's text_embeds (n, D) and all image_embeds (M, D), detached."""
        sides = [torch.cat(parts).detach() for parts in zip(*outputs, strict=True)]
        if self.text_embeds is None:
            texts = sides[0]
        else:
            share = rows[self.ranks.share(len(rows))]
            texts = self.text_embeds[share.to(self.text_embeds.device, non_blocking=True)]
        if batch.image_embeds is not None:
            return texts, batch.image_embeds
        images = self.ranks.gather(sides[-1], batch.num_images)
        zeros = images.new_zeros(batch.num_zero_rows, images.shape[1])
        return texts, torch.cat([images, zeros])

    def _backward(
        self,
        pieces: list[Piece],
        outputs: list[list[Tensor]] | None,
        text_grads: Tensor,
        image_grads: Tensor | None,
    ) -> None:
        """Send gradients through the towers; DeepSpeed averages them over the ranks."""
        sides = (
            [] if self.text_embeds is not None else [(text_grads, [p.num_texts for p in pieces])]
        )
        if image_grads is not None:
            sides.append((image_grads, [p.num_images for p in pieces]))
        parts = [grads.split(counts) for grads, counts in sides]
        for place, piece in enumerate(pieces):
            embeds = self._run(piece) if outputs is None else outputs[place]
            surrogate = sum(
                (side * grads[place]).sum() for side, grads in zip(embeds, parts, strict=True)
            )
            self.engine.backward(surrogate * self.ranks.size)

    def _update(self, lr: float) -> None:
        for optimizer in filter(None, (self.engine.optimizer, self.loss_optimizer)):
            for group in optimizer.param_groups:
                group["lr"] = lr * group.get("of_lr", 1.0)
        self.engine.step()
        if self.loss_optimizer is not None:
            self.loss_optimizer.step()
            if isinstance(self.loss, BoundedLoss):
                self.loss.clamp_()
            self.loss_optimizer.zero_grad()
