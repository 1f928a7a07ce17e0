"""Compile every Triton kernel ahead of time, without a GPU, and say what each one takes.

``python -m clipdiff_kernels.compile [ARCH ...]`` prints the table (default: sm_80 sm_90 sm_100
gfx942) and exits 1 where a kernel spills registers or needs more shared memory than the
architecture has.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from clipdiff_kernels.contrastive.fused import MERGE_BLOCK, contrastive_fwd_kernel, merge_kernel
from clipdiff_kernels.hinge.fused import hinge_all_kernel
from clipdiff_kernels.hinge.fused_hardest import hinge_hardest_kernel
from clipdiff_kernels.launch import Tile, tile
from clipdiff_kernels.squared.fused import squared_kernel
from clipdiff_kernels.tiles import add_scaled_differences_kernel, pair_facts_kernel
from clipdiff_kernels.weights import (
    SOFTMAX,
    VIOLATIONS,
    segment_kernel,
    weighted_differences_kernel,
    weights_kernel,
)

# Shared memory that one block may use, in bytes (CUDA C++ Programming Guide, table of compute
# capabilities; CDNA3 ISA: 64 KiB of LDS).
SHARED_LIMIT = {"sm_80": 166_912, "sm_90": 232_448, "sm_100": 232_448, "gfx942": 65_536}
TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
INTEGERS = {
    "stride", "start_row", "stop_row", "start_pair", "stop_pair", "num_rows", "num_pairs",
    "num_images", "num_parts", "count", "width", "tiles_per_split", "steps_per_split",
}  # fmt: skip
# Sizes that are multiples of 16 wherever speed matters (a width, whole blocks of rows).
ALIGNED = {"width", "stride", "num_rows"}
FLOATS = {"eps", "undirected", "margin"}
INDICES = {"pair_index", "group_ids", "order", "offsets", "row_arg", "col_arg"}


@dataclass(frozen=True)
class Configuration:
    """A kernel as a loss launches it: embedding dtype, tile, compile-time settings.

    ``typed`` names the pointers, beside texts and images, that are no fp32 and no index.
    """

    kernel: Any
    dtype: str
    tile: Tile
    constexprs: dict[str, Any]
    typed: dict[str, str]

    @property
    def name(self) -> str:
        names = ("GATHER", "STORE", "KIND", "NORMALIZE", "BACKWARD")
        settings = {k: v for k, v in self.constexprs.items() if k in names}
        extra = " ".join(f"{k.lower()}={int(v)}" for k, v in settings.items())
        return f"{self.kernel.__name__} {self.dtype} {extra}".strip()

    def type_of(self, argument: str) -> str:
        if argument in self.constexprs:
            return "constexpr"
        if argument in INTEGERS:
            return "i32"
        if argument in FLOATS:
            return "fp32"
        if argument in INDICES:
            return "*i64"
        own = {"texts": self.dtype, "images": self.dtype} | self.typed
        return "*" + own.get(argument, "fp32")

    def source(self) -> ASTSource:
        names = self.kernel.arg_names
        signature = {name: self.type_of(name) for name in names}
        aligned = {
            (place,): [["tt.divisibility", 16]]
            for place, name in enumerate(names)
            if signature[name].startswith("*") or (name in ALIGNED and signature[name] == "i32")
        }
        return ASTSource(self.kernel, signature, self.constexprs, aligned)


@dataclass(frozen=True)
class Resources:
    """What a compiled kernel takes: registers a thread, bytes spilled, bytes of shared memory."""

    name: str
    arch: str
    registers: int
    spilled_bytes: int
    shared_bytes: int

    @property
    def fits(self) -> bool:
        return not self.spilled_bytes and self.shared_bytes <= SHARED_LIMIT[self.arch]


DOT = {"bf16": tl.bfloat16, "fp16": tl.float16, "fp32": tl.float32}


def configurations(arch: str) -> Iterator[Configuration]:
    """Every kernel in every dtype and branch that changes its code, with the tile of ``arch``.

    ``GROUPS`` is on throughout (its code contains the other), fp16 stands for bf16 where only the
    element type of a load differs, and both exponent branches are in every kernel.
    """
    small = arch in ("sm_100", "gfx942")
    for dtype, bits in (("bf16", 16), ("fp32", 32)):
        for use, kernels in (("dot", _softmax), ("hinge", _hinge)):
            yield from kernels(dtype, tile(f"{use}{bits}", small=small), gather=False)
        dot = {"DOT": DOT[dtype], "PRECISION": "ieee"}
        product = tile(f"product{bits}", small=small)
        yield _configuration(weighted_differences_kernel, dtype, product, dot, {"weights": dtype})
        yield from _rowwise(dtype)
    yield from _softmax("bf16", tile("gather"), gather=True)
    yield from _hinge("bf16", tile("gather"), gather=True)
    yield Configuration(merge_kernel, "fp32", Tile(0, 0, 0, 4, 3), {"BLOCK": MERGE_BLOCK}, {})


def _walk(dtype: str, *, gather: bool) -> dict[str, Any]:
    return {"DOT": DOT[dtype], "PRECISION": "ieee", "GATHER": gather, "GROUPS": True}


def _softmax(dtype: str, block: Tile, *, gather: bool) -> Iterator[Configuration]:
    """The contrastive forward, and the weights of both kinds (one tile)."""
    walk = _walk(dtype, gather=gather)
    yield _configuration(contrastive_fwd_kernel, dtype, block, walk)
    for kind in (SOFTMAX, VIOLATIONS):
        if gather:
            yield _configuration(segment_kernel, dtype, tile("segment"), walk | {"KIND": kind})
        else:
            yield _configuration(
                weights_kernel, dtype, block, walk | {"KIND": kind}, {"out": dtype}
            )


def _hinge(dtype: str, block: Tile, *, gather: bool) -> Iterator[Configuration]:
    walk = _walk(dtype, gather=gather)
    yield _configuration(
        hinge_all_kernel, dtype, block, walk | {"STORE": not gather}, {"weights": dtype}
    )
    yield _configuration(hinge_hardest_kernel, dtype, block, walk)


def _rowwise(dtype: str) -> Iterator[Configuration]:
    block = tile("rowwise")
    yield _configuration(pair_facts_kernel, dtype, block)
    yield _configuration(add_scaled_differences_kernel, dtype, block, typed={"out": dtype})
    for backward in (False, True):
        settings = {"NORMALIZE": True, "BACKWARD": backward}
        yield _configuration(squared_kernel, dtype, block, settings, {"grad": dtype})


def _configuration(
    kernel: Any,
    dtype: str,
    block: Tile,
    settings: dict[str, Any] | None = None,
    typed: dict[str, str] | None = None,
) -> Configuration:
    blocks = {k: v for k, v in block.meta().items() if k in kernel.arg_names}
    return Configuration(kernel, dtype, block, blocks | (settings or {}), typed or {})


def compile_for(configuration: Configuration, arch: str) -> tuple[Resources, dict[str, Any]]:
    """Resources of one kernel on one architecture, and its assembly by stage."""
    block = configuration.tile
    options = {"num_warps": block.num_warps, "num_stages": block.num_stages}
    kernel = triton.compile(configuration.source(), target=TARGETS[arch], options=options)
    if arch.startswith("sm_"):
        registers, spilled = _ptxas(kernel.asm["ptx"], arch)
    else:
        registers, spilled = _amdgcn(kernel.asm["amdgcn"])
    used = Resources(configuration.name, arch, registers, spilled, kernel.metadata.shared)
    return used, kernel.asm


def _ptxas(ptx: str, arch: str) -> tuple[int, int]:
    """Registers a thread and bytes spilled, as ptxas itself reports them."""
    number = int(arch.removeprefix("sm_"))
    exact = _group(r"\.target (sm_\w+)", ptx)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.ptx"
        path.write_text(ptx)
        command = [get_ptxas(number).path, "-v", f"--gpu-name={exact}", str(path), "-o", os.devnull]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    registers = int(_group(r"Used (\d+) registers", said))
    return registers, int(_group(r"(\d+) bytes spill stores", said))


def _amdgcn(assembly: str) -> tuple[int, int]:
    """Vector registers and bytes of scratch, from the assembly's own metadata."""
    registers = int(_group(r"\.vgpr_count:\s+(\d+)", assembly))
    spilled = int(_group(r"\.vgpr_spill_count:\s+(\d+)", assembly))
    return registers, 4 * spilled


def _group(pattern: str, text: str) -> str:
    """The first group of a pattern in what a compiler wrote."""
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"the compiler wrote nothing like {pattern}; is it a newer one?")
    return match.group(1)


def compile_all(archs: list[str]) -> list[Resources]:
    """Resources of every configuration on ``archs``, compiled by as many processes as cores."""
    cases = [(i, arch) for arch in archs for i in range(len(list(configurations(arch))))]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(_compile_case, cases))


def _compile_case(case: tuple[int, str]) -> Resources:
    place, arch = case
    return compile_for(list(configurations(arch))[place], arch)[0]


def table(results: list[Resources]) -> str:
    """Markdown, a row a kernel: registers / spilled bytes / KiB of shared memory, by arch."""
    archs = list(dict.fromkeys(r.arch for r in results))
    cells = {(r.name, r.arch): r for r in results}
    lines = ["| kernel | " + " | ".join(archs) + " |", "|---" * (len(archs) + 1) + "|"]
    for name in dict.fromkeys(r.name for r in results):
        fields = []
        for arch in archs:
            r = cells[name, arch]
            mark = "" if r.fits else " **over**"
            fields.append(f"{r.registers} / {r.spilled_bytes} / {r.shared_bytes / 1024:.1f}{mark}")
        lines.append(f"| {name} | " + " | ".join(fields) + " |")
    return "\n".join(lines)


def main(archs: list[str]) -> int:
    results = compile_all(archs or list(TARGETS))
    sys.stdout.write("registers / spilled bytes / KiB of shared memory\n\n" + table(results) + "\n")
    return 0 if all(r.fits for r in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
