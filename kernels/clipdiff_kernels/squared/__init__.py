"""Squared distance of texts to pairwise image differences."""

from torch import Tensor

from clipdiff_kernels import checks, dispatch
from clipdiff_kernels.blocks import AllReduce
from clipdiff_kernels.stats import Stats


def squared_loss(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    *,
    normalize: bool = False,
    backend: str = "auto",
    return_stats: bool = False,
) -> Tensor | tuple[Tensor, Stats]:
    """L = mean over pairs and dimensions of (e_k - d_k)^2, d_k = X[i_k] - X[j_k].

    (Sam et al. 2025, App. G.2; torch's MSELoss.)

    Args:
        image_embeds: X (M, D), L2-normalised, float16, bfloat16, float32 or float64.
        pair_index: (N, 2), integers 0 to M - 1; row k is (i_k, j_k).
        text_embeds: e (N, D), L2-normalised, dtype of ``image_embeds``.
        normalize: compare with the direction d_k / max(|d_k|, 1e-6) instead.
        backend: "auto", "reference", "chunked" or "triton" (see ``choose_backend``).
        return_stats: also return the detached means of s_kk and n_k.

    Returns:
        The loss (), float32 (float64 for float64 inputs), or (loss, Stats).

    Raises:
        ValueError: names the argument that does not fit, and the shapes.
    """
    checks.check_embeds(image_embeds, pair_index, text_embeds)
    return dispatch.run(
        "squared", image_embeds, pair_index, text_embeds,
        backend=backend, return_stats=return_stats, normalize=normalize,
    )  # fmt: skip


def squared_loss_rows(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    *,
    row_offset: int,
    all_reduce: AllReduce,
    normalize: bool = False,
    backend: str = "auto",
    return_stats: bool = False,
) -> Tensor | tuple[Tensor, Stats]:
    """``squared_loss`` of N texts that lie in several blocks, which exchange one number.

    Arguments, result and gradients as in ``contrastive_loss_rows`` and ``squared_loss``; backend
    "auto" or "chunked".

    Raises:
        ValueError: names the argument that does not fit, and the shapes.
    """
    checks.check_embeds(image_embeds, pair_index, text_embeds, row_offset)
    return dispatch.run(
        "squared", image_embeds, pair_index, text_embeds,
        backend=backend, return_stats=return_stats,
        rows={"row_offset": row_offset, "all_reduce": all_reduce}, normalize=normalize,
    )  # fmt: skip
