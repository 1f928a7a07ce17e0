"""What a loss asks of the cosines s_rk of its texts and all differences, whoever computes them.

The losses are written once, over this interface: ``tiled`` answers in plain torch, ``fused`` in
Triton, each by products with the differences or by gathers from products with the images. No answer
holds an N x N matrix.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple, Protocol

from torch import Tensor

from .blocks import Block
from .dispatch import choose, requested


class Violations(NamedTuple):
    """Margins violated in a block: [m - s_rr + s_rk]+ and [m - s_kk + s_rk]+, over negatives k."""

    total: Tensor  # () their sum
    row_count: Tensor  # (n,) violations of each row
    column_count: Tensor  # (N,) of each column, by this block's rows
    text: Tensor | None  # (n, D) sum_k (violations at rk) dhat_k


class Maxima(NamedTuple):
    """Largest negative of each row and column of a block (-inf: none), and its first place."""

    row_max: Tensor  # (n,)
    row_pair: Tensor  # (n,) int64, columns
    column_max: Tensor  # (N,)
    column_row: Tensor  # (N,) int64, rows of all N


class Scores(Protocol):
    """The cosines of a block. Everything is in the accumulation dtype: float32, or float64.

    A *negative* is an entry off the diagonal whose group ids differ.
    """

    @property
    def own(self) -> Tensor:
        """s_rr (n,)."""

    def log_sums(self, scale: Tensor) -> tuple[Tensor, Tensor]:
        """log sum exp(scale s_rk) over negatives and own entries: of rows (n,), of columns (N,)."""

    def pull_softmax(
        self, scale: Tensor, row_lse: Tensor, column_lse: Tensor, factor: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Gradient to the texts (n, D) of factor (sum_r (a_r - z_rr) + sum_k (b_k - z_kk)), in
        their dtype, and that to ``scale``, (): a, b the log-sum-exps (n,), (N,)."""

    def violations(self, margin: float, column_own: Tensor, pull: bool) -> Violations:
        """Violations of ``margin``; ``pull``: with the gradient. ``column_own`` (N,) are s_kk."""

    def maxima(self) -> Maxima:
        """The hardest negatives."""

    def less_own(self, text: Tensor, count: Tensor) -> Tensor:
        """``text`` (n, D) less count_r dhat_r, (n,), in place."""

    def pull_hardest(self, maxima: Maxima, by_row: Tensor, by_column: Tensor) -> Tensor:
        """Sum of dhat over the violated maxima, less their own, (n, D): by_row (n,), by_column (N,)
        are 1 where the maximum violates the margin, else 0."""

    def images_gradient(self) -> Tensor | None:
        """What the pulls since the start are to the images (M, D), or None if not asked for."""


KEEP_BYTES = 0
"""Most memory in which a contrastive loss keeps exp z for its backward pass, which then multiplies
one unit less (``kept_size``). 0, never, until a GPU has shown what it is worth."""


def kept_size(block: Block, backend: str, precision: str, gradient: bool) -> tuple[int, int]:
    """Of exp z (N, n), 16 bits each, with rows of a multiple of 16; (0, 0) where none are kept.

    Args:
        backend, precision: as asked for.
        gradient: whether there will be a backward pass.
    """
    size = block.num_pairs, -(-len(block.text_embeds) // 16) * 16
    narrow = precision in ("bf16", "fp16")  # rounding exp z costs float32 its digits
    if not gradient or not narrow or 2 * size[0] * size[1] > KEEP_BYTES:
        return 0, 0
    backend = requested(backend)
    if backend == "auto" and block.text_embeds.is_cuda:
        backend = choose("contrastive", block, backend, precision).backend
    return size if backend == "triton" else (0, 0)


def make_scores(
    block: Block,
    backend: str,
    precision: str,
    *,
    image_grad: bool = False,
    kept: Tensor | None = None,
) -> Scores:
    """The scores of a block by a backend: "chunked", "gather", "triton" or "triton-gather".

    ``precision`` is that of the Triton products ("fp32", "tf32x3", "bf16", "fp16"); ``image_grad``
    collects a gradient to the images, for which the fused scores multiply directly; ``kept``, of
    ``kept_size``, is what the forward pass writes and the backward pass reads.
    """
    if backend in ("chunked", "gather"):
        from .tiled.scores import TiledScores

        return TiledScores(block, gather=backend == "gather", image_grad=image_grad)
    if backend == "triton-gather" and not image_grad:
        return importlib.import_module(".fused.gather_scores", __package__).GatherScores(
            block, precision
        )
    return importlib.import_module(".fused.product_scores", __package__).ProductScores(
        block, precision, image_grad=image_grad, kept=kept
    )
