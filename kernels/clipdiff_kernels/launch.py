"""How Triton kernels are launched: tile shapes, splits over the grid, workspace, fp32 products.

The numbers of ``TILES`` come from the compiler (no spills, shared memory within the limit of every
architecture of ``aot``); ``benchmarks/gpu.py`` sweeps them on a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import triton
import triton.language as tl

# Weights and column partials are made for as many text rows at a time as fit in this.
WORKSPACE_BYTES = 32 * 2**20
# Programs wanted in a launch: two for each multiprocessor of an H100 or H200.
PROGRAMS = 264
# Arguments that change from batch to batch: no kernel is compiled anew where one happens to be 1 or
# a multiple of 16, as Triton would.
SIZES = (
    "num_pairs", "start_pair", "stop_pair", "num_images", "num_parts", "count",
    "tiles_per_split", "steps_per_split",
)  # fmt: skip

TRITON_DTYPE = {
    torch.float32: tl.float32,
    torch.float16: tl.float16,
    torch.bfloat16: tl.bfloat16,
}


@dataclass(frozen=True)
class Tile:
    """Block sizes of one kernel: text rows, pairs, a slice of the embedding width."""

    rows: int
    pairs: int
    width: int
    num_warps: int
    num_stages: int

    def meta(self) -> dict[str, int]:
        return {
            "BLOCK_ROWS": self.rows,
            "BLOCK_PAIRS": self.pairs,
            "BLOCK_WIDTH": self.width,
            "num_warps": self.num_warps,
            "num_stages": self.num_stages,
        }

    def rowwise(self) -> dict[str, int]:
        """For kernels that walk along the width only: no text rows."""
        meta = self.meta()
        del meta["BLOCK_ROWS"]
        return meta


# By use and bits of the embeddings. "dot" and "hinge": products of texts and differences ("hinge"
# keeps more beside the scores); "product": weights times differences; "gather" and "segment":
# differences of two rows of G; "rowwise": along the width of each pair. fp32 products are IEEE, so
# without tensor cores.
TILES = {
    "dot16": Tile(rows=128, pairs=64, width=64, num_warps=8, num_stages=3),
    "dot32": Tile(rows=64, pairs=64, width=16, num_warps=8, num_stages=2),
    "hinge16": Tile(rows=64, pairs=128, width=32, num_warps=8, num_stages=3),
    "hinge32": Tile(rows=64, pairs=64, width=16, num_warps=8, num_stages=1),
    "product16": Tile(rows=128, pairs=64, width=128, num_warps=8, num_stages=3),
    "product32": Tile(rows=64, pairs=32, width=64, num_warps=8, num_stages=2),
    "gather": Tile(rows=128, pairs=16, width=16, num_warps=4, num_stages=3),
    "segment": Tile(rows=128, pairs=16, width=16, num_warps=4, num_stages=2),
    "rowwise": Tile(rows=16, pairs=16, width=64, num_warps=4, num_stages=2),
}
# Instead, on compute capability 10 (sums of products pass from tensor memory through registers, and
# the compiler spills with the tiles above) and on AMD (64 KiB of shared memory).
SMALL_TILES = {
    "dot16": Tile(rows=64, pairs=64, width=32, num_warps=8, num_stages=3),
    "hinge16": Tile(rows=64, pairs=64, width=32, num_warps=8, num_stages=3),
    "product16": Tile(rows=64, pairs=64, width=64, num_warps=8, num_stages=2),
}


def interpreting() -> bool:
    """Whether Triton's interpreter runs the kernels (TRITON_INTERPRET=1 before its import)."""
    return os.environ.get("TRITON_INTERPRET", "0") == "1"


def available(device: torch.device | str) -> bool:
    """Whether the Triton backends can run on tensors of ``device``."""
    return interpreting() or torch.device(device).type == "cuda"


def tile(name: str, *, small: bool = False) -> Tile:
    """The tile ``name``, or its small version."""
    return (SMALL_TILES if small else TILES).get(name, TILES[name])


def walking_tile(texts: torch.Tensor, use: str) -> Tile:
    """The tile of a walk over (pairs, rows): ``use`` is "dot", "hinge", "product" or "gather"."""
    if use == "gather":
        return TILES["gather"]
    bits = 32 if texts.dtype == torch.float32 else 16
    return tile(f"{use}{bits}", small=texts.is_cuda and _small(texts.device))


def _small(device: torch.device) -> bool:
    amd = torch.version.hip is not None
    return amd or torch.cuda.get_device_capability(device)[0] == 10


def dot_dtype(dtype: torch.dtype) -> tl.dtype:
    """The dtype that tiles of ``dtype`` are multiplied in (sums are always fp32).

    The interpreter computes silently wrong products of bf16, so there they are made in fp32.
    """
    return tl.float32 if interpreting() and dtype == torch.bfloat16 else TRITON_DTYPE[dtype]


def weight_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype that loss weights are stored in beside embeddings of ``dtype``.

    Softmax weights are about 1 / N, which fp16 cannot hold beyond N = 16,384: bf16 there.
    """
    return torch.float32 if dtype == torch.float32 else torch.bfloat16


def rows_per_launch(num_pairs: int, bytes_per_logit: float, block: int) -> int:
    """Text rows whose workspace of ``bytes_per_logit * num_pairs`` each fits, in whole blocks."""
    rows = int(WORKSPACE_BYTES / max(1, bytes_per_logit * num_pairs))
    return max(block, rows // block * block)


def split(blocks: int, steps: int) -> tuple[int, int]:
    """Programs to cut a walk of ``steps`` tiles into, beside ``blocks`` others; tiles of each."""
    each = triton.cdiv(steps, max(1, min(steps, PROGRAMS // blocks)))
    return triton.cdiv(steps, each), each


@contextmanager
def ieee_products() -> Iterator[None]:
    """Library products of fp32 without tf32, whatever the process allows."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "ieee"
    try:
        yield
    finally:
        matmul.fp32_precision = before


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """``a @ b`` (n, k) x (k, m), summed and returned in fp32."""
    if a.dtype == torch.float32:
        with ieee_products():
            return a @ b
    if a.is_cuda:
        return torch.mm(a, b, out_dtype=torch.float32)
    return a.float() @ b.float()
