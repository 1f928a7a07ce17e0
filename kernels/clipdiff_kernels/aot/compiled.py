"""Kernels compiled ahead of time, without a GPU: what each takes of a multiprocessor, and its code.

Works with any Triton from 3.6 on: the one that this interpreter imports.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas

from .sass import Step, analyse
from .spec import Configuration

TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}


@dataclass(frozen=True)
class Limits:
    """What a multiprocessor (AMD: compute unit) has. Bytes; registers are 32 bits wide.

    A block takes ``reserved_bytes`` of shared memory beside its own; a warp's registers come in
    units of ``register_unit``. ``registers``, ``warps``: of a multiprocessor on Nvidia, of one of
    its 4 SIMD units on AMD. ``tensor_columns``: of tensor memory.
    """

    block_bytes: int
    shared_bytes: int
    reserved_bytes: int
    registers: int
    register_unit: int
    warps: int
    blocks: int
    tensor_columns: int = 0


# CUDA C++ Programming Guide, "Compute Capabilities", table of technical specifications; registers
# are given out 256 at a time (CUDA occupancy calculator), tensor memory has 512 columns (PTX ISA,
# tcgen05). gfx942: AMD CDNA3 ISA guide: 512 vector registers of 64 lanes and 8 waves a SIMD unit,
# in units of 8 registers, 64 KiB of LDS.
LIMITS = {
    "sm_80": Limits(166_912, 167_936, 1024, 65_536, 256, 64, 32),
    "sm_90": Limits(232_448, 233_472, 1024, 65_536, 256, 64, 32),
    "sm_100": Limits(232_448, 233_472, 1024, 65_536, 256, 64, 32, tensor_columns=512),
    "gfx942": Limits(65_536, 65_536, 0, 512 * 64, 8 * 64, 8, 16),
}


@dataclass(frozen=True)
class Resources:
    """What a kernel takes: registers a thread, bytes spilled, bytes of shared memory a block."""

    arch: str
    registers: int
    spilled_bytes: int
    shared_bytes: int
    threads: int
    tensor_columns: int = 0

    @property
    def shared_fits(self) -> bool:
        return self.shared_bytes <= LIMITS[self.arch].block_bytes

    @property
    def blocks(self) -> int:
        """Blocks that a multiprocessor holds at a time (0: not even one)."""
        has = LIMITS[self.arch]
        if not self.shared_fits:
            return 0
        lanes = TARGETS[self.arch].warp_size
        warps = -(-self.threads // lanes)
        a_warp = -(-self.registers * lanes // has.register_unit) * has.register_unit
        held = min(has.warps, has.registers // max(a_warp, 1))
        units = 4 if self.arch.startswith("gfx") else 1
        by_shared = has.shared_bytes // max(self.shared_bytes + has.reserved_bytes, 1)
        by_columns = (
            has.tensor_columns // self.tensor_columns if self.tensor_columns else has.blocks
        )
        return min(units * held // warps, by_shared, by_columns, has.blocks)


@dataclass(frozen=True)
class Compiled:
    """A kernel on one architecture by one Triton; ``step`` is None on AMD."""

    name: str
    use: str
    triton: str
    resources: Resources
    step: Step | None

    @property
    def arch(self) -> str:
        return self.resources.arch

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Compiled:
        step = values["step"] and Step(**values["step"])
        return cls(**values | {"resources": Resources(**values["resources"]), "step": step})


def compile_for(configuration: Configuration, arch: str) -> tuple[Compiled, dict[str, Any]]:
    """One kernel on one architecture, and its assembly by stage ("ptx", "sass", "amdgcn", ...)."""
    options = {"num_warps": configuration.num_warps, "num_stages": configuration.num_stages}
    kernel = triton.compile(configuration.source(), target=TARGETS[arch], options=options)
    assembly = dict(kernel.asm.items())
    shared = kernel.metadata.shared
    step = None
    if arch.startswith("sm_"):
        assembly["sass"] = disassemble(assembly["cubin"])
        step = analyse(assembly["sass"], assembly["ptx"], configuration)
        registers, spilled = _ptxas(assembly["ptx"], arch)
        columns = kernel.metadata.tmem_size or 0
        used = Resources(arch, registers, spilled, shared, step.threads, columns)
    else:
        registers, spilled = _amdgcn(assembly["amdgcn"])
        threads = configuration.num_warps * TARGETS[arch].warp_size
        used = Resources(arch, registers, spilled, shared, threads)
    compiled = Compiled(configuration.name, configuration.use, triton.__version__, used, step)
    return compiled, assembly


Cases = Callable[[str], Iterable[Configuration]]


def compile_all(cases: Cases, archs: Iterable[str]) -> list[Compiled]:
    """Every configuration of ``cases(arch)``, compiled by as many processes as there are cores.

    ``cases`` is a function of a module: processes import it by name.
    """
    places = []
    for arch in archs:
        names = [each.name for each in cases(arch)]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(
                f"configurations of {arch} share a name: {', '.join(twice)}; name each"
            )
        places += [(cases, place, arch) for place in range(len(names))]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(_compile_case, places))


def _compile_case(case: tuple[Cases, int, str]) -> Compiled:
    cases, place, arch = case
    return compile_for(list(cases(arch))[place], arch)[0]


def disassemble(cubin: bytes) -> str:
    """SASS of a compiled kernel, by the nvdisasm that Triton ships."""
    program = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "nvdisasm"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        command = [str(program), "-c", str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


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
