"""Which backend computes an op: an argument, an environment variable, or a measured table."""

import importlib
import importlib.util
import os
from typing import Any, NamedTuple

import torch
from torch import Tensor

from clipdiff_kernels.stats import Stats, pair_stats

BACKEND_VARIABLE = "CLIPDIFF_KERNELS_BACKEND"

MODULES = {"reference": "reference", "chunked": "chunked", "gather": "gather", "triton": "fused"}
"""Backend -> module of the op that holds its ``loss``."""

BACKENDS = {
    "contrastive": ("reference", "chunked", "gather", "triton"),
    "hinge": ("reference", "chunked", "gather", "triton"),
    "squared": ("reference", "chunked", "triton"),
}
BLOCK_BACKENDS = ("chunked", "gather")
"""Backends that can compute a block of rows (``row_offset``)."""

GATHER_FROM = {
    "cpu": ((64, 4.0), (128, 2.0), (256, 1.4), (768, 1.3)),
    "cuda": ((1, 4.0),),
}
"""Device -> ((D, smallest N / M at which gathers beat products with the differences), ...).

CPU: contrastive, N = 2,048, float32, one thread of an AMD EPYC (AVX2), 24 November 2026 (the times
are in docs/kernels.md). CUDA: from the operations and the bytes gathered from L2, not measured.
"""


class Choice(NamedTuple):
    """A backend and the reason for it, as a sentence."""

    backend: str
    reason: str


def choose_backend(
    op: str,
    image_embeds: Tensor,
    pair_index: Tensor,
    backend: str = "auto",
    *,
    block: bool = False,
) -> Choice:
    """The backend that ``op`` takes for these inputs, and why.

    On a CPU M is the number of distinct images among the pairs; elsewhere, where counting them
    would wait for the device, the rows of ``image_embeds``.

    Args:
        op: "contrastive", "squared" or "hinge".
        image_embeds: (M, D).
        pair_index: (N, 2).
        backend: "auto", or the backend wanted. "auto" follows CLIPDIFF_KERNELS_BACKEND if set.
        block: whether a block of rows is computed (the ``_rows`` ops).

    Raises:
        ValueError: no such op, or the op has no such backend.
    """
    if op not in BACKENDS:
        raise ValueError(f"op must be one of {', '.join(BACKENDS)}, got {op!r}")
    allowed = tuple(b for b in BACKENDS[op] if not block or b in BLOCK_BACKENDS)
    by = "backend"
    if backend == "auto" and os.environ.get(BACKEND_VARIABLE):
        backend, by = os.environ[BACKEND_VARIABLE], BACKEND_VARIABLE
    if backend != "auto":
        if backend not in allowed:
            what = f"a block of rows of {op}" if block else op
            raise ValueError(
                f"{by} must be auto or, for {what}, one of {', '.join(allowed)}; got {backend!r}"
            )
        return Choice(backend, f"{by} asks for it")
    return _measured_choice(image_embeds, pair_index, allowed)


def run(
    op: str,
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    *args: float | Tensor,
    backend: str,
    return_stats: bool,
    rows: dict[str, Any] | None = None,
    **settings: Any,
) -> Tensor | tuple[Tensor, Stats]:
    """Compute ``op`` on checked arguments with the chosen backend, whose module is imported now.

    ``rows`` holds ``row_offset`` and ``all_reduce`` where ``text_embeds`` is a block of rows.
    """
    inputs = image_embeds.contiguous(), pair_index.long().contiguous(), text_embeds.contiguous()
    block = rows is not None
    name = choose_backend(op, *inputs[:2], backend, block=block).backend
    if name == "gather" and not block and _fused(image_embeds):
        name, settings["gather"] = "triton", True
    module = importlib.import_module(f"clipdiff_kernels.{op}.{MODULES[name]}")
    loss = module.loss(*inputs, *args, **settings, **(rows or {}))
    return (loss, pair_stats(*inputs, **(rows or {}))) if return_stats else loss


def _measured_choice(image_embeds: Tensor, pair_index: Tensor, allowed: tuple[str, ...]) -> Choice:
    device, width = image_embeds.device.type, image_embeds.shape[1]
    direct = "triton" if "triton" in allowed and _fused(image_embeds) else "chunked"
    if "gather" not in allowed:
        return Choice(direct, f"{device}; one pass over the pairs, nothing to gather")
    if device not in GATHER_FROM:
        return Choice(direct, f"gathers were not measured on {device}")
    num_pairs = len(pair_index)
    num_images = len(pair_index.unique()) if device == "cpu" else len(image_embeds)
    least, ratio = _gather_from(device, width), num_pairs / num_images
    facts = f"{device}, N / M = {num_pairs} / {num_images} = {ratio:.2f}, D = {width}"
    if ratio >= least:
        return Choice("gather", f"{facts}: gathers win from {least:.2f} on")
    return Choice(direct, f"{facts}: gathers win only from {least:.2f} on")


def _gather_from(device: str, width: int) -> float:
    """The ratio measured at the largest D that is not above ``width`` (else at the smallest)."""
    table = GATHER_FROM[device]
    fitting = [ratio for measured, ratio in table if measured <= width]
    return fitting[-1] if fitting else table[0][1]


def _fused(image_embeds: Tensor) -> bool:
    """Whether the Triton kernels can run: a CUDA tensor up to float32, and the package."""
    narrow = image_embeds.dtype != torch.float64
    return image_embeds.is_cuda and narrow and importlib.util.find_spec("triton") is not None
