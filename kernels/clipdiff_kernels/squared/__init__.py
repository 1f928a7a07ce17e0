"""Squared distance of texts to pairwise image differences."""

from torch import Tensor

from .. import checks
from ..blocks import AllReduce, Exchange
from ..custom_ops import needs_gradient
from ..dispatch import is_reference, precision_for
from ..stats import Stats, with_stats
from . import reference
from .loss import SquaredFunction


def squared_loss(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    *,
    normalize: bool = False,
    backend: str = "auto",
    precision: str | None = None,
    return_stats: bool = False,
) -> Tensor | tuple[Tensor, Stats]:
    """L = mean over pairs and dimensions of (e_k - d_k)^2, d_k = X[i_k] - X[j_k].

    (Sam et al. 2025, App. G.2; torch's MSELoss.)

    Args:
        image_embeds: X (M, D), L2-normalised, float16, bfloat16, float32 or float64.
        pair_index: (N, 2), integers 0 to M - 1; row k is (i_k, j_k).
        text_embeds: e (N, D), L2-normalised; float64 where ``image_embeds`` is.
        normalize: compare with the direction d_k / max(|d_k|, 1e-6) instead.
        backend: "auto", "reference", "chunked" or "triton" (see ``choose_backend``).
        precision: as in ``contrastive_loss``; there is no product here that it could matter for.
        return_stats: also return the detached means of s_kk and n_k.

    Returns:
        The loss (), float32 (float64 for float64 inputs), or (loss, Stats).

    Raises:
        ValueError: names the argument that does not fit, and the shapes.
    """
    checks.check_embeds(image_embeds, pair_index, text_embeds)
    if is_reference("squared", backend):
        loss = reference.loss(image_embeds, pair_index, text_embeds, normalize=normalize)
    else:
        loss = _of_block(image_embeds, pair_index, text_embeds, normalize, backend, precision)
    return with_stats(loss, return_stats, image_embeds, pair_index, text_embeds)


def squared_loss_rows(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    *,
    row_offset: int,
    all_reduce: AllReduce,
    normalize: bool = False,
    backend: str = "auto",
    precision: str | None = None,
    return_stats: bool = False,
) -> Tensor | tuple[Tensor, Stats]:
    """``squared_loss`` of N texts that lie in several blocks, which exchange one number.

    Arguments, result and gradients as in ``contrastive_loss_rows`` and ``squared_loss``.

    Raises:
        ValueError: names the argument that does not fit, and the shapes.
    """
    checks.check_embeds(image_embeds, pair_index, text_embeds, row_offset)
    if is_reference("squared", backend):
        checks.check_whole("squared", pair_index, text_embeds)
        return squared_loss(
            image_embeds, pair_index, text_embeds,
            normalize=normalize,
            backend=backend, return_stats=return_stats,
        )  # fmt: skip
    with Exchange(all_reduce) as handle:
        loss = _of_block(
            image_embeds, pair_index, text_embeds, normalize, backend, precision, row_offset, handle
        )
    return with_stats(
        loss, return_stats, image_embeds, pair_index, text_embeds, row_offset, all_reduce
    )


def _of_block(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    normalize: bool,
    backend: str,
    precision: str | None,
    row_offset: int = 0,
    exchange: int = 0,
) -> Tensor:
    """2 / (N D) times half of the sum that the op makes."""
    loss, *_ = SquaredFunction.apply(
        image_embeds, text_embeds, pair_index.long(), normalize, backend,
        precision_for(text_embeds, precision), row_offset, exchange,
        *needs_gradient(image_embeds, text_embeds), 2 / (len(pair_index) * text_embeds.shape[1]),
    )  # fmt: skip
    return loss
