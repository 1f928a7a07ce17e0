"""The global loss of a batch that lies over the ranks, and its gradients to the local embeddings.

The gradients to the embeddings are all that the towers' backward pass needs (gradient caching, Gao
2021). So the loss and its communication stay apart from the training engine, and a rank may run its
towers in pieces.
"""

from dataclasses import dataclass

import torch
from clipdiff_kernels import Stats
from torch import Tensor, nn

from clipdiff.losses.base import BlockLoss
from clipdiff.train.ranks import Ranks


@dataclass(frozen=True)
class LossGradients:
    """The loss of the global batch, and the gradients of it to what this rank holds.

    ``text`` is (n, D); ``images`` is (M, D) or None; ``loss`` and ``stats`` are detached scalars.
    """

    loss: Tensor
    stats: Stats
    text: Tensor
    images: Tensor | None


def loss_gradients(
    loss: nn.Module,
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    group_ids: Tensor | None = None,
    *,
    ranks: Ranks,
    with_images: bool = False,
) -> LossGradients:
    """Compute the loss over all ranks' texts; the same on 1 and on n ranks, to rounding.

    Every rank knows all differences (images in training are gathered by the caller), and the ranks
    of a loss that has ``rows`` exchange a few vectors of N numbers, and their parts of the
    gradients to the images and to the loss's own parameters. For a loss without ``rows`` the texts
    are gathered, and every rank computes all of it.

    Args:
        loss: a module of a ``LossEntry``, its parameters without a ``grad``; afterwards they have
            theirs, the same on every rank.
        image_embeds: (M, D) float32, L2-normalised, the same on every rank.
        pair_index: (N, 2) int64 of the global batch, the same on every rank.
        text_embeds: (n, D) float32, L2-normalised: rows ``ranks.share(N)`` of the batch.
        group_ids: (N,) int64 of the global batch, or None.
        ranks: this process among the others.
        with_images: whether the images need a gradient.

    Returns:
        Gradients of the global mean, not scaled by the number of ranks.
    """
    images = image_embeds.detach().requires_grad_(with_images)
    share = ranks.share(len(pair_index))
    if not isinstance(loss, BlockLoss):
        texts = ranks.gather(text_embeds, len(pair_index)).requires_grad_()
        value, stats = loss(images, pair_index, texts, group_ids)
        value.backward()
        return LossGradients(
            value.detach(), stats, _grad(texts)[share], _grad(images) if with_images else None
        )
    texts = text_embeds.detach().requires_grad_()
    value, stats = loss.rows(
        images,
        pair_index,
        texts,
        group_ids,
        row_offset=share.start,
        all_reduce=ranks.all_reduce,
    )
    value.backward()
    for parameter in loss.parameters():
        if parameter.grad is not None:
            ranks.all_reduce(parameter.grad, "sum")
    image_grads = ranks.all_reduce(_grad(images), "sum") if with_images else None
    return LossGradients(value.detach(), stats, _grad(texts), image_grads)


def _grad(embeds: Tensor) -> Tensor:
    """Return the gradient to embeddings; zeros where the loss does not look at them."""
    return torch.zeros_like(embeds) if embeds.grad is None else embeds.grad
