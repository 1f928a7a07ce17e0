"""Contrastive loss of a block and its gradients, over the scores of any backend.

A block knows its rows of the N x N matrix whole and a part of each column. With the columns'
log-sum-exps of all blocks it finds its share of the loss and its own gradients (docs/kernels.md,
"O(N) communication").
"""

from typing import Any

import torch
from torch import Tensor

from ..blocks import Block, exchange_of, join_columns
from ..custom_ops import operator, refuse
from ..differences import accumulate_dtype
from ..dispatch import choose
from ..scores import kept_size, make_scores


def _fake(
    images: Tensor,
    texts: Tensor,
    logit_scale: Tensor,
    pair_index: Tensor,
    *arguments: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dtype = accumulate_dtype(texts)
    sizes = (), (len(texts),), (len(pair_index),)
    loss, row_lse, column_lse = (texts.new_empty(size, dtype=dtype) for size in sizes)
    _, _, backend, precision, row_offset, _, gradient = arguments
    size = kept_size(Block(images, pair_index, texts, row_offset), backend, precision, gradient)
    return loss, row_lse, column_lse, texts.new_empty(size, dtype=torch.bfloat16)


@operator("contrastive", _fake)
def contrastive(
    images: Tensor,
    texts: Tensor,
    logit_scale: Tensor,
    pair_index: Tensor,
    group_ids: Tensor | None,
    eps: float,
    backend: str,
    precision: str,
    row_offset: int,
    exchange: int,
    gradient: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The loss () of all blocks, and what the backward needs: a (n,) of rows, b (N,) of columns,
    and exp z where it is kept (``kept_size``)."""
    all_reduce = exchange_of(exchange)
    block = Block(images, pair_index, texts, row_offset, group_ids, eps)
    size = kept_size(block, backend, precision, gradient)
    kept = texts.new_empty(size, dtype=torch.bfloat16)
    backend, precision, _ = choose("contrastive", block, backend, precision)
    scores = make_scores(block, backend, precision, kept=kept)
    scale = logit_scale.to(accumulate_dtype(texts)).reshape(())
    row_lse, column_lse = scores.log_sums(scale)
    if exchange:
        column_lse = join_columns(column_lse, all_reduce)
    share = (row_lse + column_lse[block.rows] - 2 * scale * scores.own).sum()
    return all_reduce(share / (2 * block.num_pairs), "sum"), row_lse, column_lse, kept


def _fake_backward(
    grad_loss: Tensor,
    images: Tensor,
    texts: Tensor,
    logit_scale: Tensor,
    *arguments: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    want_images = arguments[-1]
    grad_images = torch.empty_like(images) if want_images else images.new_empty(0)
    return grad_images, torch.empty_like(texts), torch.empty_like(logit_scale)


@operator("contrastive_backward", _fake_backward)
def contrastive_backward(
    grad_loss: Tensor,
    images: Tensor,
    texts: Tensor,
    logit_scale: Tensor,
    pair_index: Tensor,
    group_ids: Tensor | None,
    row_lse: Tensor,
    column_lse: Tensor,
    kept: Tensor,
    eps: float,
    backend: str,
    precision: str,
    row_offset: int,
    want_images: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to images (M, D) (empty if not wanted), texts (n, D) and logit_scale."""
    block = Block(images, pair_index, texts, row_offset, group_ids, eps)
    backend, precision, _ = choose("contrastive", block, backend, precision)
    scores = make_scores(block, backend, precision, image_grad=want_images, kept=kept)
    scale = logit_scale.to(row_lse.dtype).reshape(())
    factor = grad_loss.to(row_lse.dtype) / (2 * block.num_pairs)
    grad_text, grad_scale = scores.pull_softmax(scale, row_lse, column_lse, factor)
    grad_images = scores.images_gradient()
    return (
        images.new_empty(0) if grad_images is None else grad_images.to(images.dtype),
        grad_text,
        grad_scale.to(logit_scale.dtype).reshape(logit_scale.shape),
    )


class ContrastiveFunction(torch.autograd.Function):
    """Keeps its inputs and two vectors, (n,) and (N,); the backward computes the logits again.

    Or it keeps exp z, too, where that is faster and memory allows it (``scores.KEEP_BYTES``).

    To logit_scale and the images it gives this block's part: summed over blocks they are whole.
    """

    @staticmethod
    def forward(
        images, texts, logit_scale, pair_index, group_ids, eps, backend, precision, row_offset,
        exchange, gradient,
    ):  # fmt: skip
        return contrastive(
            images, texts, logit_scale, pair_index, group_ids, eps, backend, precision, row_offset,
            exchange, gradient,
        )  # fmt: skip

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs[:5], *output[1:])
        ctx.settings = inputs[5:9]

    @staticmethod
    def backward(ctx, grad_loss, *_):
        needs_images, needs_text, needs_scale = ctx.needs_input_grad[:3]
        images, text, scale = ContrastiveBackward.apply(
            grad_loss, *ctx.saved_tensors, *ctx.settings, needs_images
        )
        return (
            images if needs_images else None,
            text if needs_text else None,
            scale if needs_scale else None,
            *(None,) * 8,
        )


class ContrastiveBackward(torch.autograd.Function):
    """The gradients, which have none."""

    @staticmethod
    def forward(
        grad_loss, images, texts, logit_scale, pair_index, group_ids, row_lse, column_lse, kept,
        eps, backend, precision, row_offset, want_images,
    ):  # fmt: skip
        return contrastive_backward(
            grad_loss, images, texts, logit_scale, pair_index, group_ids, row_lse, column_lse, kept,
            eps, backend, precision, row_offset, want_images,
        )  # fmt: skip

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    backward = staticmethod(refuse)
