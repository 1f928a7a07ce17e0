"""In-batch max-margin ranking of texts and pairwise image differences."""

from torch import Tensor

from .. import checks
from ..blocks import AllReduce, Exchange
from ..custom_ops import needs_gradient
from ..dispatch import is_reference, precision_for
from ..stats import Stats, with_stats
from . import reference
from .loss import HingeFunction


def hinge_loss(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    *,
    margin: float = 0.2,
    negatives: str = "all",
    group_ids: Tensor | None = None,
    backend: str = "auto",
    precision: str | None = None,
    return_stats: bool = False,
) -> Tensor | tuple[Tensor, Stats]:
    """L = 1/2N sum_r sum_{k != r} ([margin - s_rr + s_rk]+ + [margin - s_rr + s_kr]+).

    s_rk = <e_r, dhat_k>, the cosine of text r and difference k. ``negatives`` "hardest" takes the
    maximum of each inner sum instead, in each direction apart; "reversed" knows one negative, the
    swapped pair: L = 1/N sum_k [margin - 2 s_kk]+. A row without negatives gives 0.
    (Kiros et al. 2014; VSE++, Faghri et al. 2018, eq. 4-6.)

    Args:
        image_embeds: X (M, D), L2-normalised, float16, bfloat16, float32 or float64.
        pair_index: (N, 2), integers 0 to M - 1; row k is (i_k, j_k).
        text_embeds: e (N, D), L2-normalised; float64 where ``image_embeds`` is.
        margin: at least 0.
        negatives: "all", "hardest" or "reversed".
        group_ids: (N,), integers; entries with equal ids are no negatives ("reversed": no effect).
        backend: "auto", "reference", "chunked", "gather", "triton" or "triton-gather" (see
            ``choose_backend``).
        precision: what Triton multiplies in, as in ``contrastive_loss``.
        return_stats: also return the detached means of s_kk and n_k.

    Returns:
        The loss (), float32 (float64 for float64 inputs), or (loss, Stats).

    Raises:
        ValueError: names the argument that does not fit, and the shapes.
    """
    checks.check_embeds(image_embeds, pair_index, text_embeds)
    checks.check_hinge(margin, negatives)
    checks.check_group_ids(group_ids, pair_index)
    if is_reference("hinge", backend):
        loss = reference.loss(
            image_embeds, pair_index, text_embeds,
            margin=margin, negatives=negatives, group_ids=group_ids,
        )  # fmt: skip
    else:
        loss = _of_block(
            image_embeds, pair_index, text_embeds, group_ids, margin, negatives, backend, precision
        )
    return with_stats(loss, return_stats, image_embeds, pair_index, text_embeds)


def hinge_loss_rows(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    *,
    row_offset: int,
    all_reduce: AllReduce,
    margin: float = 0.2,
    negatives: str = "all",
    group_ids: Tensor | None = None,
    backend: str = "auto",
    precision: str | None = None,
    return_stats: bool = False,
) -> Tensor | tuple[Tensor, Stats]:
    """``hinge_loss`` of N texts that lie in several blocks, which exchange a few N-vectors.

    "all": s_kk and, where a gradient is wanted, a count per column (2 N + 1 numbers); "hardest":
    s_kk, a maximum and its row per column (3 N + 1); "reversed": 1. Nothing in the backward pass,
    so blocks must agree on whether a gradient is wanted. Arguments, result and gradients as in
    ``contrastive_loss_rows`` and ``hinge_loss``.

    Raises:
        ValueError: names the argument that does not fit, and the shapes.
    """
    checks.check_embeds(image_embeds, pair_index, text_embeds, row_offset)
    if is_reference("hinge", backend):
        checks.check_whole("hinge", pair_index, text_embeds)
        return hinge_loss(
            image_embeds, pair_index, text_embeds,
            margin=margin, negatives=negatives, group_ids=group_ids,
            backend=backend, return_stats=return_stats,
        )  # fmt: skip
    checks.check_hinge(margin, negatives)
    checks.check_group_ids(group_ids, pair_index)
    with Exchange(all_reduce) as handle:
        loss = _of_block(
            image_embeds, pair_index, text_embeds, group_ids, margin, negatives, backend, precision,
            row_offset, handle,
        )  # fmt: skip
    return with_stats(
        loss, return_stats, image_embeds, pair_index, text_embeds, row_offset, all_reduce
    )


def _of_block(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    group_ids: Tensor | None,
    margin: float,
    negatives: str,
    backend: str,
    precision: str | None,
    row_offset: int = 0,
    exchange: int = 0,
) -> Tensor:
    terms = 1 if negatives == "reversed" else 2  # a pair, of which the mean is taken
    loss, *_ = HingeFunction.apply(
        image_embeds, text_embeds, pair_index.long(), group_ids, margin, negatives, backend,
        precision_for(text_embeds, precision), row_offset, exchange,
        *needs_gradient(image_embeds, text_embeds), 1 / (terms * len(pair_index)),
    )  # fmt: skip
    return loss
