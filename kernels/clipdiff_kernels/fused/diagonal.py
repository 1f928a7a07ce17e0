"""Losses that look at each pair alone, in Triton: bound by bandwidth."""

from __future__ import annotations

import triton
from torch import Tensor

from ..blocks import Block
from .facts import Facts
from .keyed import gradient_to_images, unit_gradient_to_images
from .rowwise import squared_kernel
from .tiles import tile_on

Pass = tuple[Tensor, Tensor | None, Tensor | None]


def squared_distance(block: Block, normalize: bool, want_text: bool, want_images: bool) -> Pass:
    """1/2 sum_k |e_k - d_k|^2, or with ``normalize`` |e_k - dhat_k|^2, and its gradients, fp32."""
    facts = Facts(block, "fp32", store=False)
    sums = facts.new(facts.num_rows)
    store = want_text or want_images
    grad = facts.new(facts.num_rows if store else 0, facts.width)
    if facts.num_rows:
        tile = tile_on(facts.device, "rowwise")
        squared_kernel[(triton.cdiv(facts.num_rows, tile.pairs),)](
            block.text_embeds.contiguous(), facts.images, facts.pair_index, facts.inverse, sums,
            grad, facts.row_offset, facts.num_rows, facts.num_pairs, facts.width,
            **tile.meta("pairs", "width"), NORMALIZE=normalize, STORE=store,
        )  # fmt: skip
    mine, grad_images = facts.pair_index[block.rows], None
    if want_images and normalize:
        grad_images = unit_gradient_to_images(facts.images, mine, -grad, block.eps)
    elif want_images:
        grad_images = gradient_to_images(mine, -grad, len(facts.images))
    return sums.sum() / 2, grad if want_text else None, grad_images


def reversed_margin(block: Block, margin: float, want_text: bool, want_images: bool) -> Pass:
    """sum_k [margin - 2 s_kk]+ (), and its gradients, fp32."""
    facts = Facts(block, "fp32", store=False)
    violation = (margin - 2 * facts.own).relu_()
    weight = violation.sign() * -2
    text, grad_images = None, None
    if want_text:
        text = facts.new(facts.num_rows, facts.width).zero_()
        facts.add_own(text, text, weight, facts.scalars(0.0, 1.0))
    if want_images:
        grad_unit = block.text_embeds.float() * weight.unsqueeze(1)
        mine = facts.pair_index[block.rows]
        grad_images = unit_gradient_to_images(facts.images, mine, grad_unit, block.eps)
    return violation.sum(), text, grad_images
