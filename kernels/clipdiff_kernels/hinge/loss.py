"""Hinge losses of a block with their gradients, over the scores of any backend.

Blocks tell each other s_kk, and a count (or, for ``hardest``, a maximum and its row) per column.
"""

import torch
from torch import Tensor

from ..blocks import AllReduce, Block, exchange_of, gather_own
from ..custom_ops import KeptGradient, fake_kept, kept_outputs, operator
from ..diagonal import reversed_margin
from ..differences import EPS
from ..dispatch import choose
from ..scores import Scores, make_scores


@operator("hinge", fake_kept)
def hinge(
    images: Tensor,
    texts: Tensor,
    pair_index: Tensor,
    group_ids: Tensor | None,
    margin: float,
    negatives: str,
    backend: str,
    precision: str,
    row_offset: int,
    exchange: int,
    want_images: bool,
    want_text: bool,
    factor: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """``factor`` times the violations of all blocks, (), and their gradients to
    this block's texts and to the images."""
    all_reduce = exchange_of(exchange)
    block = Block(images, pair_index, texts, row_offset, group_ids, EPS)
    backend, precision, _ = choose("hinge", block, backend, precision)
    if negatives == "reversed":
        total, text, grad_images = reversed_margin(block, backend, margin, want_text, want_images)
    else:
        scores = make_scores(block, backend, precision, image_grad=want_images)
        one_pass = {"all": all_negatives, "hardest": hardest_negatives}[negatives]
        total, text = one_pass(scores, block, margin, all_reduce, want_images or want_text)
        grad_images = scores.images_gradient()
    return kept_outputs(all_reduce(total, "sum") * factor, text if want_text else None, grad_images)


def all_negatives(
    scores: Scores, block: Block, margin: float, all_reduce: AllReduce, pull: bool
) -> tuple[Tensor, Tensor | None]:
    """Sum over this block's rows r and all k of [m - s_rr + s_rk]+ + [m - s_kk + s_rk]+.

    With ``pull`` also its gradient to the texts (n, D); the counts of columns are then exchanged.
    """
    column_own = gather_own(scores.own, block, all_reduce)
    total, row_count, column_count, text = scores.violations(margin, column_own, pull)
    if text is not None:
        column_count = all_reduce(column_count, "sum")
        text = scores.less_own(text, row_count + column_count[block.rows])
    return total, text


def hardest_negatives(
    scores: Scores, block: Block, margin: float, all_reduce: AllReduce, pull: bool
) -> tuple[Tensor, Tensor | None]:
    """The same over the largest violation of each row and of each column, each direction apart.

    One product forward; the gradient touches two differences a row and costs O(n D). Of equal
    maxima the first row (or pair) counts, in every block.
    """
    column_own = gather_own(scores.own, block, all_reduce)
    maxima = scores.maxima()
    highest = all_reduce(maxima.column_max.clone(), "max")
    # the first row that holds the maximum, as the largest of the negated row numbers
    lowest = -block.num_pairs
    holder = torch.where(maxima.column_max == highest, -maxima.column_row, lowest)
    maxima = maxima._replace(column_row=all_reduce(holder, "max").neg_())
    by_row = (maxima.row_max - scores.own + margin).relu_()
    by_column = (highest - column_own + margin).relu_()
    total = by_row.sum() + by_column[block.rows].sum()
    text = scores.pull_hardest(maxima, by_row.sign(), by_column.sign()) if pull else None
    return total, text


class HingeFunction(KeptGradient):
    """The loss of all blocks; its gradients are kept."""

    @staticmethod
    def forward(
        images, texts, pair_index, group_ids, margin, negatives, backend, precision, row_offset,
        exchange, want_images, want_text, factor,
    ):  # fmt: skip
        return hinge(
            images, texts, pair_index, group_ids, margin, negatives, backend, precision, row_offset,
            exchange, want_images, want_text, factor,
        )  # fmt: skip
