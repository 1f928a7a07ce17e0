"""Which backend computes an op, and in what precision: arguments, a variable, a table."""

from __future__ import annotations

import importlib.util
import os
from typing import NamedTuple

import torch
from torch import Tensor

from .blocks import Block

BACKEND_VARIABLE = "CLIPDIFF_KERNELS_BACKEND"

HAS_TRITON = importlib.util.find_spec("triton") is not None

BACKENDS = {
    "contrastive": ("reference", "chunked", "gather", "triton", "triton-gather"),
    "hinge": ("reference", "chunked", "gather", "triton", "triton-gather"),
    "squared": ("reference", "chunked", "triton"),
}

GATHER_FROM = {
    "cpu": ((64, 4.0), (128, 2.0), (256, 1.4), (768, 1.3)),
    "cuda": ((1, 4.0),),
}
"""Device -> ((D, smallest N / M at which gathers beat products with the differences), ...).

CPU: contrastive, N = 2,048, float32, one thread of an AMD EPYC (AVX2), 24 November 2026
(benchmarks/gather_over_chunked.csv). CUDA: from the predicted times, not measured.
"""

PRECISIONS = {
    "fp32": torch.float32,
    "tf32x3": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
"""What Triton multiplies in, and the dtype of what it multiplies; sums are float32.

``fp32`` are IEEE products, without tensor cores; ``tf32x3`` makes nearly the same of three on them.
"""


class Choice(NamedTuple):
    """A backend, the precision of its products, and the reason, as a sentence."""

    backend: str
    precision: str
    reason: str


def choose_backend(
    op: str,
    image_embeds: Tensor,
    pair_index: Tensor,
    backend: str = "auto",
    precision: str | None = None,
) -> Choice:
    """The backend that ``op`` takes for these inputs, the precision of its products, and why.

    On a CPU M is the number of distinct images among the pairs; elsewhere, where counting them
    would wait for the device, the rows of ``image_embeds``: pass those of the batch only.

    Args:
        op: "contrastive", "squared" or "hinge".
        image_embeds: (M, D), of the texts' dtype; whether it needs a gradient counts.
        pair_index: (N, 2).
        backend: "auto", or the backend wanted. "auto" follows CLIPDIFF_KERNELS_BACKEND if set.
        precision: None for the dtype of the embeddings, or "fp32", "tf32x3", "bf16", "fp16".

    Raises:
        ValueError: no such op, or the op has no such backend, or no such precision.
    """
    if op not in BACKENDS:
        raise ValueError(f"op must be one of {', '.join(BACKENDS)}, got {op!r}")
    block = Block(image_embeds, pair_index, image_embeds)
    if image_embeds.requires_grad:
        backend = with_image_gradient(backend, image_embeds)
    return choose(op, block, backend, precision_for(image_embeds, precision))


def choose(op: str, block: Block, backend: str, precision: str) -> Choice:
    """The same for a block, and a precision that ``precision_for`` gave."""
    backend, by = _asked(op, backend)
    if backend == "auto":
        backend, reason = _by_the_table(block, BACKENDS[op])
    else:
        reason = f"{by} asks for it"
    if not backend.startswith("triton"):
        wide = block.text_embeds.dtype == torch.float64
        precision = "fp64" if wide else "fp32"
    return Choice(backend, precision, reason)


def is_reference(op: str, backend: str) -> bool:
    """Whether the formula in plain torch is asked for, which is no operator.

    Raises:
        ValueError: the op has no such backend.
    """
    return _asked(op, backend)[0] == "reference"


def requested(backend: str) -> str:
    """What the argument asks for or, where it says "auto", the variable."""
    return os.environ.get(BACKEND_VARIABLE) or "auto" if backend == "auto" else backend


def with_image_gradient(backend: str, embeds: Tensor) -> str:
    """The backend asked for, where a gradient to the images is wanted: gathers in Triton have none.

    To be asked before the forward pass. Both passes have to round logits alike, or softmax weights
    do not sum to 1; the backward pass alone would find out too late, and a compiled forward pass
    never.
    """
    asked = requested(backend)
    if asked == "triton-gather" or (asked == "auto" and _runs_triton(embeds)):
        return "triton"
    return backend


def precision_for(embeds: Tensor, precision: str | None) -> str:
    """The precision asked for; else that of autocast or, without it, of the embeddings.

    Raises:
        ValueError: no such precision.
    """
    if precision is not None:
        if precision not in PRECISIONS:
            raise ValueError(
                f"precision must be None or one of {', '.join(PRECISIONS)}, got {precision!r}"
            )
        return precision
    dtype, device = embeds.dtype, embeds.device.type
    if dtype == torch.float32 and torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    return {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(dtype, "fp32")


def _asked(op: str, backend: str) -> tuple[str, str]:
    """What is asked for, and who asks: the argument or, where it says "auto", the variable."""
    by = "backend" if backend != "auto" else BACKEND_VARIABLE
    backend = requested(backend)
    if backend not in ("auto", *BACKENDS[op]):
        raise ValueError(
            f"{by} must be auto or, for {op}, one of {', '.join(BACKENDS[op])}; got {backend!r}"
        )
    return backend, by


def _by_the_table(block: Block, allowed: tuple[str, ...]) -> tuple[str, str]:
    device, width = block.image_embeds.device.type, block.image_embeds.shape[1]
    fused = _runs_triton(block.text_embeds)
    direct, gather = ("triton", "triton-gather") if fused else ("chunked", "gather")
    if "gather" not in allowed:
        return direct, f"{device}; one pass over the pairs, nothing to gather"
    if fused and block.image_embeds.requires_grad:
        return direct, f"{device}; its gathers have no gradient to the images"
    if device not in GATHER_FROM:
        return direct, f"gathers were not measured on {device}"
    num_pairs = block.num_pairs
    on_host = device == "cpu"
    num_images = len(block.pair_index.unique()) if on_host else len(block.image_embeds)
    least, ratio = _gather_from(device, width), num_pairs / num_images
    facts = f"{device}, N / M = {num_pairs} / {num_images} = {ratio:.2f}, D = {width}"
    if ratio >= least:
        return gather, f"{facts}: gathers win from {least:.2f} on"
    return direct, f"{facts}: gathers win only from {least:.2f} on"


def _gather_from(device: str, width: int) -> float:
    """The ratio measured at the largest D that is not above ``width`` (else at the smallest)."""
    table = GATHER_FROM[device]
    fitting = [ratio for measured, ratio in table if measured <= width]
    return fitting[-1] if fitting else table[0][1]


def _runs_triton(embeds: Tensor) -> bool:
    """Whether the Triton kernels can run: a CUDA tensor up to float32, and the package."""
    narrow = embeds.dtype != torch.float64
    return embeds.is_cuda and narrow and HAS_TRITON
