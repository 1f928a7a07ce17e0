"""The bounds that compiled kernels are held to, and which of them one breaks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from .compiled import LIMITS, Compiled
from .sass import Step


@dataclass(frozen=True)
class Bounds:
    """Of the main loop: least FLOP a byte asked of L2, allowed product shapes, most SASS
    instructions for 4 products, least steps whose copies are in flight (``sass.Step``)."""

    flop_a_byte: float = 0.0
    shapes: frozenset[str] = frozenset()
    per_four_products: float = inf
    stages: float = 0.0


# By use and architecture; nothing spills and shared memory fits for all, named here or not. At 80
# FLOP a byte an L2 of 5.5 to 8 TB/s feeds 440 to 640 TFLOP/s. m64n64k16 reads shared memory at its
# full 128 bytes a clock; wider shapes leave room. 4 HGMMA of m64n128k16 by each of 2 warp groups
# take 512 clocks of the tensor cores (m64n256k16: 1,024), 120 instructions of 8 warps 240 of issue.
BOUNDS = {
    ("dense", "sm_90"): Bounds(
        flop_a_byte=80,
        shapes=frozenset({"m64n256k16", "m64n128k16"}),
        per_four_products=120,
        stages=2,
    ),
}


def broken(compiled: Compiled) -> list[str]:
    """Every bound that a compiled kernel breaks, in words; empty where all hold."""
    name = f"{compiled.name} on {compiled.arch} (Triton {compiled.triton})"
    return [f"{name}: {what}" for what in (*_resources(compiled), *_loop(compiled))]


def _resources(compiled: Compiled) -> Iterator[str]:
    used = compiled.resources
    if used.spilled_bytes:
        yield f"spills {used.spilled_bytes} bytes of registers a thread; none may spill"
    if not used.shared_fits:
        limit = LIMITS[compiled.arch].block_bytes
        yield f"takes {used.shared_bytes} bytes of shared memory; a block has {limit}"
    elif not used.blocks:
        yield f"does not fit a multiprocessor: {used.threads} threads of {used.registers} registers"


def _loop(compiled: Compiled) -> Iterator[str]:
    bounds = BOUNDS.get((compiled.use, compiled.arch))
    if bounds is None:
        return
    step = compiled.step
    if step is None or not step.products:
        yield "no loop holds tensor-core products; its products must reach them"
        return
    yield from _products(step, bounds)


def _products(step: Step, bounds: Bounds) -> Iterator[str]:
    if step.flop_a_byte < bounds.flop_a_byte:
        yield (
            f"{step.flop_a_byte:.1f} FLOP for a byte asked of L2; at least "
            f"{bounds.flop_a_byte:g} (a larger tile asks for less)"
        )
    if bounds.shapes and step.shape not in bounds.shapes:
        yield f"products of {step.shape or 'no shape'}; {' or '.join(sorted(bounds.shapes))}"
    if step.per_four_products > bounds.per_four_products:
        yield (
            f"{step.per_four_products:.0f} SASS instructions for 4 tensor-core instructions of "
            f"the main loop; at most {bounds.per_four_products:g}"
        )
    if step.stages < bounds.stages:
        yield (
            f"copies of {step.stages:g} steps in flight while a product runs; at least "
            f"{bounds.stages:g} (more num_stages, or loads that the compiler can pipeline)"
        )
