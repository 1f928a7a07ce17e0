"""The gather trick: cosines with N differences from products with M images.

s_rk = (G[i_k, r] - G[j_k, r]) / n_k with G = X T^T (M, c). The product shrinks from N N D to N M D;
per entry two gathers remain. The way back is the transpose: segment sums of the weights over the
pairs of each image give dG (M, c), and dT = dG^T X. Both are weighted bags of rows, which torch's
``embedding_bag`` fuses (docs/kernels.md, "The gather trick").
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..differences import (
    SHORT,
    scatter_to_images,
    through_unit_norm,
    unit_differences,
)
from .direct import DirectSimilarity


class Bags(NamedTuple):
    """Weighted sums of rows: bag b sums rows ``places[starts[b] : starts[b + 1]]``."""

    places: Tensor
    starts: Tensor
    weights: Tensor

    def sum(self, rows: Tensor) -> Tensor:
        """(num_bags, c) from rows (num_rows, c)."""
        return functional.embedding_bag(
            self.places, rows, self.starts, mode="sum", per_sample_weights=self.weights
        )


class GatherSimilarity(DirectSimilarity):
    """Same numbers as ``DirectSimilarity``, worth it where N exceeds M by a factor (dispatch.py).

    The images are centred first: d is unchanged, and G loses the common part that would cancel.
    """

    tile_elements = 1 << 20

    def _prepare(self, image_embeds: Tensor) -> None:
        self._embeds = image_embeds
        self._used, local = self.pair_index.unique(return_inverse=True)  # local: rows of _centred
        used_embeds = image_embeds[self._used].to(self.dtype)
        self._centred = used_embeds - used_embeds.mean(0)
        self._norm = torch.cat([self._unit_of(pairs)[1] for pairs in self.pair_index.split(1024)])
        self._short = (self._norm < SHORT).nonzero().squeeze(1)
        self._short_unit = self.unit_rows(self._short)[0]
        self._bag_pairs(local)
        if self.image_grad is not None:
            self._grad_centred = torch.zeros_like(self._centred)
            self._grad_short = torch.zeros_like(self._short_unit)
            self._radial = torch.zeros_like(self._norm)

    def _bag_pairs(self, local: Tensor) -> None:
        """Two bags of the same 2 N weights +-1 / n_k: by pair (gather) and by image (scatter)."""
        inverse = (1 / self._norm.clamp_min(self.eps)).index_fill_(0, self._short, 0)
        weights = torch.stack([inverse, -inverse], 1).flatten()
        image = local.flatten()
        by_pair = torch.arange(0, len(image), 2, device=image.device)
        self._gather = Bags(image, by_pair, weights)
        order = image.argsort(stable=True)
        count = image.bincount(minlength=len(self._used))
        self._scatter = Bags(order // 2, count.cumsum(0) - count, weights[order])

    def _unit_of(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        return unit_differences(self._embeds, pairs, self.eps)

    def unit_rows(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return self._unit_of(self.pair_index[index])

    @property
    def needs_cosines(self) -> bool:
        return self.image_grad is not None

    def cosines(self, text: Tensor) -> Tensor:
        tile = self._gather.sum(self._centred @ text.T)
        tile[self._short] = self._short_unit @ text.T
        return tile

    def pull(self, weights: Tensor, cosines: Tensor | None, text: Tensor) -> Tensor:
        grad_products = self._scatter.sum(weights)  # dG (M, c)
        weights_short = weights[self._short]
        if self.image_grad is not None:
            assert cosines is not None, "needs_cosines says so"
            self._grad_centred.addmm_(grad_products, text)
            self._grad_short.addmm_(weights_short, text)
            self._radial += (weights * cosines).sum(1)
        return (grad_products.T @ self._centred).addmm_(weights_short.T, self._short_unit)

    def finish(self) -> Tensor | None:
        if self.image_grad is None:
            return None
        self.image_grad.index_add_(0, self._used, self._grad_centred)
        # dG passes 1/n_k through as a constant; its own part is -dhat_k <dhat_k, g_k> / n_k
        self._scatter_short(self.image_grad)
        radial = (-self._radial / self._norm.clamp_min(self.eps)).index_fill_(0, self._short, 0)
        for part, pairs in zip(radial.split(1024), self.pair_index.split(1024), strict=True):
            unit, _ = self._unit_of(pairs)
            scatter_to_images(unit.mul_(part.unsqueeze(1)), pairs, self.image_grad)
        return self.image_grad

    def _scatter_short(self, image_grad: Tensor) -> None:
        norm = self._norm[self._short]
        grad_d = through_unit_norm(self._grad_short, self._short_unit, norm, self.eps)
        scatter_to_images(grad_d, self.pair_index[self._short], image_grad)
