"""What every launch shares: where kernels can run, workspace, products by the library."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import triton.language as tl
from torch import Tensor

# Weights and partial sums are made for as many texts at a time as fit in this.
WORKSPACE_BYTES = 512 * 2**20
# Programs wanted in a launch: two for each multiprocessor of an H100 or H200.
PROGRAMS = 264
# Arguments that change from batch to batch: no kernel is compiled anew where one happens to be 1 or
# a multiple of 16, as Triton would.
SIZES = (
    "num_pairs", "num_rows", "row_offset", "num_images", "num_parts", "count", "tiles_per_split",
)  # fmt: skip

TRITON_DTYPE = {
    torch.float32: tl.float32,
    torch.float16: tl.float16,
    torch.bfloat16: tl.bfloat16,
}


def interpreting() -> bool:
    """Whether Triton's interpreter runs the kernels (TRITON_INTERPRET=1 before its import)."""
    return os.environ.get("TRITON_INTERPRET", "0") == "1"


def available(device: torch.device | str) -> bool:
    """Whether the Triton backends can run on tensors of ``device``."""
    return interpreting() or torch.device(device).type == "cuda"


def dot_dtype(dtype: torch.dtype) -> tl.dtype:
    """The dtype that tiles of ``dtype`` are multiplied in (sums are always fp32).

    The interpreter computes silently wrong products of bf16, so there they are made in fp32.
    """
    return tl.float32 if interpreting() and dtype == torch.bfloat16 else TRITON_DTYPE[dtype]


def dot_precision(precision: str) -> str:
    """What a fp32 ``tl.dot`` is asked for; AMD's tensor cores have no tf32x3."""
    return "tf32x3" if precision == "tf32x3" and torch.version.hip is None else "ieee"


def chunks(num_rows: int, bytes_per_row: float, block: int) -> Iterator[tuple[int, int]]:
    """Bounds of the texts whose workspace of ``bytes_per_row`` each fits, in whole blocks."""
    step = max(block, int(WORKSPACE_BYTES / max(1, bytes_per_row)) // block * block)
    for low in range(0, num_rows, step):
        yield low, min(low + step, num_rows)


@contextmanager
def _library_precision(name: str) -> Iterator[None]:
    """Library products of fp32 as "ieee" or "tf32", whatever the process allows."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = name
    try:
        yield
    finally:
        matmul.fp32_precision = before


def product(a: Tensor, b: Tensor, precision: str) -> Tensor:
    """``a @ b`` (n, k) x (k, m), summed and returned in fp32; ``precision`` matters for fp32."""
    if a.dtype != torch.float32:
        return torch.mm(a, b, out_dtype=torch.float32) if a.is_cuda else a.float() @ b.float()
    if precision != "tf32x3":
        with _library_precision("ieee"):
            return a @ b
    high, low = zip(*map(_halves_tf32, (a, b)), strict=True)
    with _library_precision("tf32"):
        return (low[0] @ high[1]).addmm_(high[0], low[1]).addmm_(high[0], high[1])


def _halves_tf32(wide: Tensor) -> tuple[Tensor, Tensor]:
    """fp32 as the sum of what tf32 keeps of it (its 13 low bits cut off) and the rest."""
    high = (wide.view(torch.int32) & -(1 << 13)).view(torch.float32)
    return high, wide - high


def halves(wide: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """fp32 as it is, or as a sum of two tensors of 16 bits, which keep 16 bits of mantissa."""
    if dtype == torch.float32:
        return (wide,)
    high = wide.to(dtype)
    return high, (wide - high.float()).to(dtype)


def product_of_halves(a: tuple[Tensor, ...], b: tuple[Tensor, ...], precision: str) -> Tensor:
    """sum(a) @ sum(b) in fp32, less the product of the two low halves."""
    total = product(a[0], b[0], precision)
    for left, right in [*zip(a[1:], b, strict=False), *zip(a, b[1:], strict=False)]:
        total += product(left, right, precision)
    return total
