"""Every kernel as the losses launch it, and the losses as launches: what is compiled and predicted.

``GROUPS`` is on throughout (its code contains the other), fp16 stands for bf16 where only the
element type of a load differs, and both exponent branches are in every kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
from typing import Any

import triton.language as tl

from ..contrastive.fused import MERGE_BLOCK, contrastive_fwd_kernel, merge_kernel
from ..hinge.fused import hinge_all_kernel
from ..hinge.fused_hardest import hinge_hardest_kernel
from ..launch import PROGRAMS, Tile, tile
from ..squared.fused import squared_kernel
from ..tiles import add_scaled_differences_kernel, pair_facts_kernel
from ..weights import (
    SOFTMAX,
    VIOLATIONS,
    segment_kernel,
    weighted_differences_kernel,
    weights_kernel,
)
from .spec import Configuration, Loss, Part, Problem, Work

INTEGERS = {
    "stride", "start_row", "stop_row", "start_pair", "stop_pair", "num_rows", "num_pairs",
    "num_images", "num_parts", "count", "width", "tiles_per_split", "steps_per_split",
}  # fmt: skip
# Sizes that are multiples of 16 wherever speed matters (a width, whole blocks of rows).
ALIGNED = {"width", "stride", "num_rows"}
FLOATS = {"eps", "undirected", "margin"}
INDICES = {"pair_index", "group_ids", "order", "offsets", "row_arg", "col_arg"}
DOT = {"bf16": tl.bfloat16, "fp32": tl.float32}
# Text rows for which the weights are made at a time at N = 65,536 (32 MiB of them).
ROWS_A_CHUNK = 256


def configurations(arch: str) -> Iterator[Configuration]:
    """Every kernel in every dtype and branch that changes its code, with the tile of ``arch``."""
    small = arch in ("sm_100", "gfx942")
    for dtype, bits in (("bf16", 16), ("fp32", 32)):
        yield from _softmax(dtype, tile(f"dot{bits}", small=small), gather=False)
        yield from _hinge(dtype, tile(f"hinge{bits}", small=small), gather=False)
        yield _product(dtype, tile(f"product{bits}", small=small))
        yield from _rowwise(dtype)
    yield from _softmax("bf16", tile("gather"), gather=True)
    yield from _hinge("bf16", tile("gather"), gather=True)
    merge = Tile(rows=0, pairs=0, width=0, num_warps=4, num_stages=3)
    yield _configuration(merge_kernel, "fp32", merge, {"BLOCK": MERGE_BLOCK})


def _walk(dtype: str, *, gather: bool) -> dict[str, Any]:
    return {"DOT": DOT[dtype], "PRECISION": "ieee", "GATHER": gather, "GROUPS": True}


def _softmax(dtype: str, block: Tile, *, gather: bool) -> Iterator[Configuration]:
    """The contrastive forward, and the weights of both kinds (one tile)."""
    walk, work = _walk(dtype, gather=gather), None if gather else _score_tiles(block)
    yield _configuration(contrastive_fwd_kernel, dtype, block, walk, work=work)
    for kind in (SOFTMAX, VIOLATIONS):
        if gather:
            yield _configuration(segment_kernel, dtype, tile("segment"), walk | {"KIND": kind})
        else:
            yield _configuration(
                weights_kernel, dtype, block, walk | {"KIND": kind}, {"out": dtype}, work
            )


def _hinge(dtype: str, block: Tile, *, gather: bool) -> Iterator[Configuration]:
    walk = _walk(dtype, gather=gather)
    store = walk | {"STORE": not gather}
    yield _configuration(hinge_all_kernel, dtype, block, store, {"weights": dtype})
    yield _configuration(hinge_hardest_kernel, dtype, block, walk)


def _product(dtype: str, block: Tile) -> Configuration:
    """Weights times differences: a program walks over a share of the pairs."""

    def work(batch: Problem) -> Work:
        launches = ceil(batch.pairs / ROWS_A_CHUNK)
        tiles = ceil(ROWS_A_CHUNK / block.rows) * ceil(batch.width / block.width)
        splits = ceil(PROGRAMS / tiles)
        steps = batch.pairs / block.pairs / splits
        return Work(launches * tiles * splits, steps, 2 * batch.pairs**2, launches)

    settings = {"DOT": DOT[dtype], "PRECISION": "ieee"}
    typed = {"weights": dtype}
    return _configuration(weighted_differences_kernel, dtype, block, settings, typed, work)


def _rowwise(dtype: str) -> Iterator[Configuration]:
    block = tile("rowwise")
    yield _configuration(pair_facts_kernel, dtype, block)
    yield _configuration(add_scaled_differences_kernel, dtype, block, typed={"out": dtype})
    for backward in (False, True):
        settings = {"NORMALIZE": True, "BACKWARD": backward}
        yield _configuration(squared_kernel, dtype, block, settings, {"grad": dtype})


def _score_tiles(block: Tile) -> Callable[[Problem], Work]:
    """A tile of scores counts as a program, also where one program walks over several."""

    def work(batch: Problem) -> Work:
        tiles = ceil(batch.pairs / block.rows) * ceil(batch.pairs / block.pairs)
        texts = 2 * batch.pairs * batch.width
        launches = ceil(batch.pairs / ROWS_A_CHUNK)
        return Work(tiles, ceil(batch.width / block.width), texts, launches)

    return work


def _configuration(
    kernel: Any,
    dtype: str,
    block: Tile,
    settings: dict[str, Any] | None = None,
    typed: dict[str, str] | None = None,
    work: Callable[[Problem], Work] | None = None,
) -> Configuration:
    """``typed``: the pointers, beside texts and images, that are no fp32 and no index."""
    meta = block.meta() | (settings or {})
    constexprs = {name: value for name, value in meta.items() if name in kernel.arg_names}
    pointers = {"texts": dtype, "images": dtype} | (typed or {})
    names = ("GATHER", "STORE", "KIND", "NORMALIZE", "BACKWARD")
    told = " ".join(f"{k.lower()}={int(v)}" for k, v in constexprs.items() if k in names)
    products = "DOT" in constexprs and dtype != "fp32" and not constexprs.get("GATHER")
    return Configuration(
        name=f"{kernel.__name__} {dtype} {told}".strip(),
        kernel=kernel,
        signature={n: _type(n, constexprs, pointers) for n in kernel.arg_names},
        constexprs=constexprs,
        num_warps=block.num_warps,
        num_stages=block.num_stages,
        aligned=frozenset(ALIGNED & set(kernel.arg_names)),
        flop=2.0 * block.rows * block.pairs * block.width if products else 0.0,
        logits=block.rows * block.pairs if constexprs.get("GATHER") else 0.0,
        work=work,
    )


def _type(name: str, constexprs: dict[str, Any], pointers: dict[str, str]) -> str:
    if name in constexprs:
        return "constexpr"
    if name in INTEGERS:
        return "i32"
    if name in FLOATS:
        return "fp32"
    return "*i64" if name in INDICES else "*" + pointers.get(name, "fp32")


def _contrastive_direct(batch: Problem) -> list[Part]:
    return [
        Part("contrastive_fwd_kernel bf16 gather=0"),
        Part("weights_kernel bf16 gather=0 kind=0"),
        Part("weighted_differences_kernel bf16"),
    ]


LOSSES = (Loss("contrastive, direct", _contrastive_direct),)
