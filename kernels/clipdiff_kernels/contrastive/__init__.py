"""Contrastive loss (InfoNCE in both directions) of texts against pairwise image differences."""

import torch
from torch import Tensor

from .. import checks
from ..blocks import AllReduce, Exchange
from ..custom_ops import needs_gradient
from ..differences import EPS
from ..dispatch import is_reference, precision_for, with_image_gradient
from ..stats import Stats, with_stats
from . import reference
from .loss import ContrastiveFunction


def contrastive_loss(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    logit_scale: float | Tensor,
    *,
    group_ids: Tensor | None = None,
    eps: float = EPS,
    backend: str = "auto",
    precision: str | None = None,
    return_stats: bool = False,
) -> Tensor | tuple[Tensor, Stats]:
    """L = 1/2 [mean_r CE(z_r., r) + mean_k CE(z_.k, k)], z_rk = logit_scale <e_r, dhat_k>.

    dhat_k = (X[i_k] - X[j_k]) / max(n_k, eps), n_k the length of the difference. A pair with
    n_k <= eps has no direction and passes no gradient to the images.
    (Radford et al. 2021, Fig. 3; Sam et al., "Finetuning CLIP to Reason about Pairwise
    Differences", 2025, eq. 3-4.)

    Args:
        image_embeds: X (M, D), L2-normalised, float16, bfloat16, float32 or float64. Differences
            are made in float32: float32 images beside texts in 16 bits are welcome.
        pair_index: (N, 2), integers 0 to M - 1; row k is (i_k, j_k).
        text_embeds: e (N, D), L2-normalised; float64 where ``image_embeds`` is.
        logit_scale: positive (0 to 100 is tested), already exponentiated; a float, or a tensor of
            shape () or (1,) that may need a gradient.
        group_ids: (N,), integers; off-diagonal entries with equal ids are no negatives.
        eps: length below which a difference has no direction.
        backend: "auto", "reference", "chunked", "gather", "triton" or "triton-gather" (see
            ``choose_backend``).
        precision: what Triton multiplies in: "fp32", "tf32x3", "bf16" or "fp16", with float32 sums;
            None for autocast's dtype, else that of ``text_embeds``. Gradients have the dtypes of
            the inputs, whatever it is.
        return_stats: also return the detached means of s_kk and n_k.

    Returns:
        The loss (), float32 (float64 for float64 inputs), or (loss, Stats).

    Raises:
        ValueError: names the argument that does not fit, and the shapes.
    """
    checks.check_embeds(image_embeds, pair_index, text_embeds)
    _check_settings(image_embeds, pair_index, logit_scale, group_ids, eps)
    if is_reference("contrastive", backend):
        loss = reference.loss(
            image_embeds, pair_index, text_embeds, logit_scale, group_ids=group_ids, eps=eps
        )
    else:
        loss = _of_block(
            image_embeds, pair_index, text_embeds, logit_scale, group_ids, eps, backend, precision
        )
    return with_stats(loss, return_stats, image_embeds, pair_index, text_embeds)


def contrastive_loss_rows(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    logit_scale: float | Tensor,
    *,
    row_offset: int,
    all_reduce: AllReduce,
    group_ids: Tensor | None = None,
    eps: float = EPS,
    backend: str = "auto",
    precision: str | None = None,
    return_stats: bool = False,
) -> Tensor | tuple[Tensor, Stats]:
    """``contrastive_loss`` of N texts that lie in several blocks; this one holds n of them.

    Every block knows all images and pairs and calls this with its own texts; the blocks exchange
    2 N + 1 numbers in the forward pass and nothing in the backward pass.

    Args:
        image_embeds: X (M, D), the same in every block.
        pair_index: (N, 2), all pairs, the same in every block.
        text_embeds: (n, D), rows ``row_offset`` to ``row_offset + n`` of all N texts; n may be 0.
        logit_scale: the same in every block.
        row_offset: number of texts in the blocks before this one.
        all_reduce: (tensor, "sum" or "max") -> the tensor, reduced in place over the blocks; called
            equally often, with equal shapes, in every block.
        group_ids: (N,), of all pairs.
        eps, return_stats: as in ``contrastive_loss``.
        backend: as there; "reference" where this block has all rows.
        precision: as there.

    Returns:
        The loss over all N pairs (the same in every block). Its gradient to ``text_embeds`` is
        whole; those to ``logit_scale`` and ``image_embeds`` are this block's part: their sum over
        the blocks is the gradient of the loss.

    Raises:
        ValueError: names the argument that does not fit, and the shapes.
    """
    checks.check_embeds(image_embeds, pair_index, text_embeds, row_offset)
    if is_reference("contrastive", backend):
        checks.check_whole("contrastive", pair_index, text_embeds)
        return contrastive_loss(
            image_embeds, pair_index, text_embeds, logit_scale,
            group_ids=group_ids, eps=eps,
            backend=backend, return_stats=return_stats,
        )  # fmt: skip
    _check_settings(image_embeds, pair_index, logit_scale, group_ids, eps)
    with Exchange(all_reduce) as handle:
        loss = _of_block(
            image_embeds, pair_index, text_embeds, logit_scale, group_ids, eps, backend, precision,
            row_offset, handle,
        )  # fmt: skip
    return with_stats(
        loss, return_stats, image_embeds, pair_index, text_embeds, row_offset, all_reduce
    )


def _of_block(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    logit_scale: float | Tensor,
    group_ids: Tensor | None,
    eps: float,
    backend: str,
    precision: str | None,
    row_offset: int = 0,
    exchange: int = 0,
) -> Tensor:
    if not isinstance(logit_scale, Tensor):  # on the device of the texts, without waiting for it
        logit_scale = torch.full((), logit_scale, dtype=torch.float64, device=text_embeds.device)
    if torch.is_grad_enabled() and image_embeds.requires_grad:
        backend = with_image_gradient(backend, text_embeds)
    loss, *_ = ContrastiveFunction.apply(
        image_embeds, text_embeds, logit_scale, pair_index.long(), group_ids, eps, backend,
        precision_for(text_embeds, precision), row_offset, exchange,
        any(needs_gradient(image_embeds, text_embeds, logit_scale)),
    )  # fmt: skip
    return loss


def _check_settings(
    image_embeds: Tensor,
    pair_index: Tensor,
    logit_scale: float | Tensor,
    group_ids: Tensor | None,
    eps: float,
) -> None:
    checks.check_logit_scale(logit_scale, image_embeds)
    checks.check_group_ids(group_ids, pair_index)
    checks.check_eps(eps)
