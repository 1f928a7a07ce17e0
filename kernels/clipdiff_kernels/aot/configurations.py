"""Every kernel as the losses launch it, and the losses as launches: what is compiled and predicted.

fp16 stands for bf16, where only the element type differs; both exponent branches are in every
kernel that has exponents. Times are those of a whole batch, text gradient included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
from typing import Any

import triton.language as tl

from ..fused import launch, tiles
from ..fused.partials import kept_kernel, merge_kernel
from ..fused.product import (
    GROUP,
    LOG_SUMS,
    MAXIMA,
    VIOLATIONS,
    WEIGHTS,
    pieces,
    product_kernel,
)
from ..fused.rowwise import own_part_kernel, pair_facts_kernel, squared_kernel
from ..fused.segments import MARGIN, SOFTMAX, segment_kernel
from ..fused.tiles import Tile, tile
from ..fused.walk import walk_kernel
from .spec import Configuration, Loss, Phase, Problem, Workload

INTEGERS = {*launch.SIZES, "width", "padded", "stride"}
# Sizes that are multiples of 16 wherever speed matters.
ALIGNED = {"width", "padded", "stride", "kept_stride"}
FLOATS = {"eps", "undirected"}
INT32 = {"groups", "first", "second", "owners", "starts", "stops", "others", "list_groups"}
DOT = {"bf16": tl.bfloat16, "fp32": tl.float32}
EPILOGUES = {"log_sums": LOG_SUMS, "weights": WEIGHTS, "violations": VIOLATIONS, "maxima": MAXIMA}
TENSOR_CORE_PRODUCTS = {"bf16": 1, "tf32x3": 3, "fp32": 0}


def configurations(arch: str) -> Iterator[Configuration]:
    """Every kernel in every dtype and branch that changes its code, with the tile of ``arch``."""
    for epilogue in EPILOGUES:
        for precision in TENSOR_CORE_PRODUCTS:
            if precision == "tf32x3" and arch.startswith("gfx"):
                continue  # IEEE there
            yield _product(epilogue, precision, arch)
        yield _product(epilogue, "bf16", arch, library=True)
        if epilogue == "log_sums":
            yield _product(epilogue, "bf16", arch, kept=True)
        if epilogue != "weights":
            yield _walk(epilogue, tile("walk", arch))
    for kind in (SOFTMAX, MARGIN):
        yield _segment(kind, tile("segment", arch))
    for dtype in ("bf16", "fp32"):
        yield from _rowwise(dtype, tile("rowwise", arch))
    yield _kept(tile("kept", arch))
    yield _configuration("merge", merge_kernel, tile("merge", arch), ("pairs", "rows"))


def _product(
    epilogue: str, precision: str, arch: str, *, library: bool = False, kept: bool = False
) -> Configuration:
    """A tile counts as a program."""
    use = {"bf16": "product16", "fp32": "product32"}.get(precision, "productx3")
    block = tile("library" if library else use, arch)
    dtype = "bf16" if precision == "bf16" else "fp32"
    described = arch in tiles.BULK_COPIES
    store = epilogue in ("weights", "violations") or kept
    number = pieces(block, EPILOGUES[epilogue])
    typed = {"units": f"*{dtype}", "texts": f"*{dtype}", "weights": f"*{dtype}"}
    if described:
        shapes = {
            "units": (block.pairs, block.width), "texts": (block.rows, block.width),
            "weights": (block.pairs, block.rows // number),
        }  # fmt: skip
        typed = {n: f"tensordesc<{dtype}[{a},{b}]>" for n, (a, b) in shapes.items()}
    if library:
        typed |= {"units": "*fp32", "texts": f"*{dtype}"}
    if not store:
        typed["weights"] = "*fp32"
    if epilogue == "maxima":
        typed |= {"row_more": "*i32", "col_more": "*i32"}
    constexprs = {
        "DOT": DOT[dtype], "PRECISION": "tf32x3" if precision == "tf32x3" else "ieee",
        "EPILOGUE": EPILOGUES[epilogue], "STORE": store, "DESCRIPTORS": described,
        "LIBRARY": library, "PIECES": number, "GROUP": GROUP, "UNBOUNDED": False,
    }  # fmt: skip
    flop = 2.0 * block.pairs * block.rows * block.width * TENSOR_CORE_PRODUCTS[precision]
    name = f"product {epilogue} {'library' if library else precision}{' kept' if kept else ''}"
    return _configuration(
        name, product_kernel, block, ("pairs", "rows", "width"), constexprs, typed,
        use="dense" if precision == "bf16" and not library else "other",
        flop=0.0 if library else flop,
        logits=float(block.pairs * block.rows) if library else 0.0,
        exps=1.0 if library and epilogue in ("log_sums", "weights") else 0.0,
        work=_tiles_of(block, epilogue, store, library) if precision == "bf16" else None,
    )  # fmt: skip


def _tiles_of(
    block: Tile, epilogue: str, store: bool, library: bool
) -> Callable[[Problem], Workload]:
    def work(batch: Problem) -> Workload:
        tiles_p, tiles_r = ceil(batch.pairs / block.pairs), ceil(batch.pairs / block.rows)
        moved = 4.0 * batch.pairs * batch.width  # texts and differences
        if epilogue != "weights":  # partials, written and read again
            moved += 8.0 * batch.pairs * (tiles_p + tiles_r)
        if store:
            moved += 2.0 * batch.pairs**2
        if library:
            moved += 4.0 * batch.pairs**2
        bytes_per_row = 2 * batch.pairs if epilogue == "weights" else 4 * (tiles_p + tiles_r)
        launches = ceil(batch.pairs * bytes_per_row / launch.WORKSPACE_BYTES)
        steps = 1 if library else ceil(batch.width / block.width)
        return Workload(tiles_p * tiles_r, steps, moved, launches)

    return work


def _kept(block: Tile) -> Configuration:
    def work(batch: Problem) -> Workload:
        tiles = ceil(batch.pairs / block.pairs) * ceil(batch.pairs / block.rows)
        launches = ceil(2 * batch.pairs**2 / launch.WORKSPACE_BYTES)
        return Workload(tiles, 1, 4.0 * batch.pairs**2, launches)

    typed = {"kept": "*bf16", "weights": "*bf16", "kept_stride": "i32"}
    return _configuration(
        "kept weights", kept_kernel, block, ("pairs", "rows"), {}, typed, work=work
    )


def _walk(epilogue: str, block: Tile) -> Configuration:
    def work(batch: Problem) -> Workload:
        slices = ceil(batch.pairs / block.rows)
        partials = 8.0 * slices * batch.pairs
        gathered = 4.0 * batch.pairs * batch.images
        return Workload(slices, batch.pairs / block.pairs, partials + gathered)

    typed = {"row_more": "*i32", "col_more": "*i32"} if epilogue == "maxima" else {}
    return _configuration(
        f"walk {epilogue}", walk_kernel, block, ("pairs", "rows"),
        {"EPILOGUE": EPILOGUES[epilogue]}, typed,
        logits=float(block.pairs * block.rows), exps=float(epilogue == "log_sums"),
        l1_hits=0.95, work=work,
    )  # fmt: skip


def _segment(kind: int, block: Tile) -> Configuration:
    """Each pair is met twice, by either of its images; lists of a tile end together, nearly."""

    def work(batch: Problem) -> Workload:
        slices = ceil(batch.pairs / block.rows)
        moved = 4.0 * batch.pairs * batch.images * (1 + _parts_of(batch))
        return Workload(slices, 1.1 * 2 * batch.pairs / block.pairs, moved)

    return _configuration(
        f"segment {'softmax' if kind == SOFTMAX else 'margin'}", segment_kernel, block,
        ("pairs", "rows"), {"KIND": kind}, logits=float(block.pairs * block.rows),
        exps=float(kind == SOFTMAX), l1_hits=0.95, work=work,
    )  # fmt: skip


def _parts_of(_: Problem) -> float:
    """Lists a segment pass cuts the images' into, of those there are (``segments_of``)."""
    return 1.25


def _rowwise(dtype: str, block: Tile) -> Iterator[Configuration]:
    sizes = ("pairs", "width")
    typed = {"texts": f"*{dtype}", "images": f"*{dtype}", "units": f"*{dtype}"}
    size = 2 if dtype == "bf16" else 4

    def passes(values: int) -> Callable[[Problem], Workload]:
        def work(batch: Problem) -> Workload:
            moved = float(values * size * batch.pairs * batch.width)
            return Workload(ceil(batch.pairs / block.pairs), ceil(batch.width / block.width), moved)

        return work

    yield _configuration(
        f"pair_facts {dtype}", pair_facts_kernel, block, sizes, {"STORE": True}, typed,
        work=passes(2),
    )  # fmt: skip
    yield _configuration(
        f"own_part {dtype}", own_part_kernel, block, sizes, {}, typed | {"out": f"*{dtype}"},
        work=passes(4),
    )  # fmt: skip
    for normalize in (False, True):
        yield _configuration(
            f"squared {dtype} normalize={int(normalize)}", squared_kernel, block, sizes,
            {"NORMALIZE": normalize, "STORE": True}, typed, work=passes(3),
        )  # fmt: skip


def _configuration(
    name: str,
    kernel: Any,
    block: Tile,
    sizes: tuple[str, ...],
    settings: dict[str, Any] | None = None,
    typed: dict[str, str] | None = None,
    **facts: Any,
) -> Configuration:
    """``typed``: the arguments that are no fp32 pointer and no integer."""
    blocks = {k: v for k, v in block.meta(*sizes).items() if k.startswith("BLOCK")}
    constexprs = blocks | (settings or {})
    return Configuration(
        name=name,
        kernel=kernel,
        signature={n: _type(n, constexprs, typed or {}) for n in kernel.arg_names},
        constexprs=constexprs,
        num_warps=block.num_warps,
        num_stages=block.num_stages,
        aligned=frozenset(ALIGNED & set(kernel.arg_names)),
        **facts,
    )


def _type(name: str, constexprs: dict[str, Any], typed: dict[str, str]) -> str:
    if name in constexprs:
        return "constexpr"
    if name in typed:
        return typed[name]
    if name in INTEGERS:
        return "i32"
    if name in FLOATS:
        return "fp32"
    if name in INT32:
        return "*i32"
    return "*i64" if name == "pair_index" else "*fp32"


def _unit(batch: Problem, units: float = 1.0) -> float:
    return units * 2.0 * batch.pairs**2 * batch.width


def _dense(
    first: str, second: str | None, library: bool = False
) -> Callable[[Problem], list[Phase]]:
    """The passes over all tiles, and the library's product of weights and differences."""
    passes = [name for name in (first, second) if name]

    def parts(batch: Problem) -> list[Phase]:
        weights = 2.0 * batch.pairs**2
        launches = ceil(batch.pairs * 2 * batch.pairs / launch.WORKSPACE_BYTES)
        products = [Phase(library_flop=_unit(batch), library_bytes=weights, launches=launches)]
        if library:
            logits = 4.0 * batch.pairs**2
            products += [Phase(library_flop=_unit(batch), library_bytes=logits)] * len(passes)
        return [
            Phase("pair_facts bf16"), *(Phase(name) for name in passes), *products,
            Phase("own_part bf16"),
        ]  # fmt: skip

    return parts


def _gathered(first: str, second: str) -> Callable[[Problem], list[Phase]]:
    """G from two halves in each pass, dG from two and the table from two; G is laid out anew."""

    def parts(batch: Problem) -> list[Phase]:
        one = 2.0 * batch.pairs * batch.images * batch.width
        gathered = 4.0 * batch.pairs * batch.images
        products = 4 + 3 * _parts_of(batch)
        return [
            Phase("pair_facts bf16"), Phase(first), Phase(second), Phase("own_part bf16"),
            Phase(library_flop=products * one, library_bytes=16 * gathered, launches=16),
        ]  # fmt: skip

    return parts


LOSSES = (
    Loss("contrastive, products", _dense("product log_sums bf16", "product weights bf16")),
    Loss(
        "contrastive, products by the library",
        _dense("product log_sums library", "product weights library", library=True),
    ),
    Loss(
        "contrastive, products, exponentials kept",
        _dense("product log_sums bf16 kept", "kept weights"),
    ),
    Loss("contrastive, gathers", _gathered("walk log_sums", "segment softmax")),
    Loss("hinge all, products", _dense("product violations bf16", None)),
    Loss("hinge all, gathers", _gathered("walk violations", "segment margin")),
)
