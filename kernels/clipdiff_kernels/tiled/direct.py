"""Cosines of texts with differences, a chunk of texts at a time, and the products back.

``DirectSimilarity`` multiplies by the differences themselves. ``GatherSimilarity`` (gather.py) has
the same methods and gives the same numbers from products with the images. The losses are written
once, over this interface. Tiles are transposed, (N, c) for c texts: a row gathered or summed is
then one run of contiguous floats.
"""

import torch
from torch import Tensor

from ..differences import (
    EPS,
    accumulate_dtype,
    scatter_to_images,
    through_unit_norm,
    unit_differences,
)


class DirectSimilarity:
    """cosines = dhat T^T, with the directions dhat (N, D) held while the loss runs.

    Args:
        image_embeds: (M, D), any floating dtype; products run in float32 (float64 for float64).
        pair_index: (N, 2) int64.
        eps: shorter differences have no direction.
        image_grad: whether the weights pulled back also collect a gradient to the images.
    """

    tile_elements = 1 << 21

    def __init__(
        self, image_embeds: Tensor, pair_index: Tensor, eps: float = EPS, image_grad: bool = False
    ) -> None:
        self.pair_index = pair_index
        self.eps = eps
        self.dtype = accumulate_dtype(image_embeds)
        self.image_grad = _zeros_like_if(image_grad, image_embeds, self.dtype)
        self._prepare(image_embeds.detach())

    def _prepare(self, image_embeds: Tensor) -> None:
        self._unit, self._norm = unit_differences(image_embeds, self.pair_index, self.eps)
        self._grad_unit = _zeros_like_if(self.image_grad is not None, self._unit, self.dtype)
        self._buffer = self._unit.new_empty(0)

    def chunks(self, num_rows: int) -> list[tuple[int, int]]:
        """Bounds of the row chunks, so that a tile (N, c) stays near ``tile_elements``."""
        size = max(16, min(512, self.tile_elements // len(self.pair_index)))
        return [(low, min(low + size, num_rows)) for low in range(0, num_rows, size)]

    @property
    def needs_cosines(self) -> bool:
        """Whether ``pull`` looks at the cosines."""
        return False

    def cosines(self, text: Tensor) -> Tensor:
        """(N, c) products of c texts (c, D) with all directions; the next call may reuse them."""
        num_elements = len(self.pair_index) * len(text)
        if self._buffer.numel() < num_elements:
            self._buffer = self._unit.new_empty(num_elements)
        return torch.mm(self._unit, text.T, out=self._buffer[:num_elements].view(-1, len(text)))

    def pull(self, weights: Tensor, cosines: Tensor | None, text: Tensor) -> Tensor:
        """Gradient to the texts (c, D) of sum(weights * cosines), (N, c) each.

        Adds the gradient to the images where one is wanted; ``needs_cosines`` says whether that
        looks at the cosines.
        """
        if self._grad_unit is not None:
            self._grad_unit.addmm_(weights, text)
        return weights.T @ self._unit

    def unit_rows(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Directions (P, D) and lengths (P,) of the pairs ``index`` (P,)."""
        return self._unit[index], self._norm[index]

    def own(self, text: Tensor, row_offset: int) -> Tensor:
        """s_rr (n,): each text with its own difference, in O(n D)."""
        own = text.new_empty(len(text))
        for low, high in self.chunks(len(text)):
            index = torch.arange(row_offset + low, row_offset + high, device=text.device)
            own[low:high] = (text[low:high] * self.unit_rows(index)[0]).sum(1)
        return own

    def add_entries(
        self, grad: Tensor, rows: Tensor, index: Tensor, weights: Tensor, text: Tensor
    ) -> None:
        """Add to ``grad`` (n, D) the gradient of sum_p weights_p <text[rows_p], dhat[index_p]>.

        For the few entries a row that a tile would waste an N x N pass on: O(P D). The images'
        part is collected as in ``pull``.
        """
        for low, high in self.chunks(len(rows)):
            part = slice(low, high)
            unit, norm = self.unit_rows(index[part])
            weight = weights[part].unsqueeze(1)
            grad.index_add_(0, rows[part], weight * unit)
            if self.image_grad is not None:
                grad_d = through_unit_norm(weight * text[rows[part]], unit, norm, self.eps)
                scatter_to_images(grad_d, self.pair_index[index[part]], self.image_grad)

    def finish(self) -> Tensor | None:
        """The collected gradient to the images (M, D), or None."""
        if self.image_grad is not None and self._grad_unit is not None:
            grad_d = through_unit_norm(self._grad_unit, self._unit, self._norm, self.eps)
            scatter_to_images(grad_d, self.pair_index, self.image_grad)
        return self.image_grad


def _zeros_like_if(condition: bool, tensor: Tensor, dtype: torch.dtype) -> Tensor | None:
    return torch.zeros_like(tensor, dtype=dtype) if condition else None
