"""Squared loss of a block with its gradients: one pass over its pairs."""

from torch import Tensor

from ..blocks import Block, exchange_of
from ..custom_ops import KeptGradient, fake_kept, kept_outputs, operator
from ..diagonal import squared_distance
from ..differences import EPS
from ..dispatch import choose


@operator("squared", fake_kept)
def squared(
    images: Tensor,
    texts: Tensor,
    pair_index: Tensor,
    normalize: bool,
    backend: str,
    precision: str,
    row_offset: int,
    exchange: int,
    want_images: bool,
    want_text: bool,
    factor: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """``factor`` times half the squared distances of all blocks, (), and their gradients to this
    block's texts and to the images."""
    block = Block(images, pair_index, texts, row_offset, None, EPS)
    backend = choose("squared", block, backend, precision).backend
    total, text, grad_images = squared_distance(block, backend, normalize, want_text, want_images)
    return kept_outputs(exchange_of(exchange)(total, "sum") * factor, text, grad_images)


class SquaredFunction(KeptGradient):
    """The loss of all blocks; its gradients are kept."""

    @staticmethod
    def forward(
        images, texts, pair_index, normalize, backend, precision, row_offset, exchange,
        want_images, want_text, factor,
    ):  # fmt: skip
        return squared(
            images, texts, pair_index, normalize, backend, precision, row_offset, exchange,
            want_images, want_text, factor,
        )  # fmt: skip
