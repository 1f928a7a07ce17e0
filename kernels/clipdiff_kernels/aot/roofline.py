"""Predicted times on an H200, from compiled code: which unit of the machine sets the pace.

A kernel takes as long as its busiest unit, were all of that unit's work to come back to back:

    tensor    FLOP of products / product rate
    l2        bytes asked of L2 (copies, and plain loads that miss L1) / L2 rate
    shared    bytes through L1 and shared memory: copies written, plain loads, and what the tensor
              cores read, (64 + N) 32 bytes for each m64nNk16 of a warp group
              / (128 B x clock x SMs)
    issue     SASS instructions x warps / (4 x clock x SMs)
    exp       MUFU.EX2 x threads / exp rate
    memory    bytes that must cross device memory / copy rate

What a program does before and after its loop is issue and exp as well. Where two or more blocks
share a multiprocessor it runs beside the products of the other (it is added to the units); where
only one fits, nothing hides it, nor the wait for the first copies (FILL a program): it is added to
the time. Programs do not divide evenly: a launch takes as long as ceil(programs / SMs) of them on
one multiprocessor. No launch ends sooner than the host needs to start the next.

No stall is counted, so issue-bound times are lower bounds; expect +-30 %.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil

from .compiled import Compiled
from .sass import WARP, Step
from .spec import Configuration, Loss, Phase, Problem, Workload

# Waiting for the first tiles of a program, in seconds: a trip to L2 and a barrier.
FILL = 0.5e-6


@dataclass(frozen=True)
class Machine:
    """Rates of a GPU, in units a second."""

    name: str
    multiprocessors: int
    clock: float
    product: float
    """FLOP of 16-bit products, as the vendor's library reaches on random data."""
    memory: float
    l2: float
    exp: float
    launch: float
    """Seconds that the host takes to start a kernel."""

    @property
    def issue(self) -> float:
        """Warp instructions: 4 a clock and multiprocessor."""
        return 4 * self.clock * self.multiprocessors

    @property
    def shared(self) -> float:
        """Bytes: 128 a clock and multiprocessor."""
        return 128 * self.clock * self.multiprocessors


# Product, copy and exp rates measured; L2: the middle of 5.5 to 8 TB/s.
H200 = Machine("H200", 132, 1.98e9, 790e12, 4.3e12, 6.5e12, 4.2e12, 3e-6)


@dataclass(frozen=True)
class Time:
    """Predicted seconds of all launches of a kernel, and the unit that sets the pace."""

    seconds: float
    bound_by: str


def units(step: Step, work: Workload, machine: Machine, l1_hits: float = 0.0) -> dict[str, float]:
    """Seconds that each unit is busy with the main loops of all programs."""
    turns = work.programs * work.steps
    missed = step.loaded_bytes * (1 - l1_hits)
    shared = step.copied_bytes + step.loaded_bytes + _operand_bytes(step)
    return {
        "tensor": step.flop * turns / machine.product,
        "l2": (step.copied_bytes + missed) * turns / machine.l2,
        "shared": shared * turns / machine.shared,
        "issue": step.instructions * step.threads / WARP * turns / machine.issue,
        "exp": step.exps * step.threads * turns / machine.exp,
        "memory": work.memory_bytes / machine.memory,
    }


def kernel_time(
    compiled: Compiled, work: Workload, machine: Machine = H200, l1_hits: float = 0.0
) -> Time:
    """Predicted time of a kernel for one pass over a batch, as the module says."""
    step = compiled.step
    if step is None:
        raise ValueError(f"{compiled.name} on {compiled.arch}: times are predicted from SASS only")
    busy = units(step, work, machine, l1_hits)
    warps = step.threads / WARP
    rest = {
        "issue": step.rest_instructions * warps * work.programs / machine.issue,
        "exp": step.rest_exps * step.threads * work.programs / machine.exp,
    }
    exposed = 0.0
    if compiled.resources.blocks > 1:
        busy = {unit: seconds + rest.get(unit, 0.0) for unit, seconds in busy.items()}
    else:
        exposed = max(rest.values()) + FILL * work.programs / machine.multiprocessors
    unit = max(busy, key=lambda name: busy[name])
    each = work.programs / work.launches
    uneven = ceil(each / machine.multiprocessors) * machine.multiprocessors / each
    seconds = uneven * (busy[unit] + exposed)
    least = work.launches * machine.launch
    return Time(max(seconds, least), unit if seconds > least else "launch")


def loss_time(
    loss: Loss, problem: Problem, times: Mapping[str, Time], machine: Machine = H200
) -> float:
    """Predicted seconds of forward and text gradient: the sum of its parts.

    ``times``: of each kernel by its configuration's name.
    """
    return sum(_part_time(part, times, machine) for part in loss.parts(problem))


def _part_time(part: Phase, times: Mapping[str, Time], machine: Machine) -> float:
    if part.kernel is not None:
        if part.kernel not in times:
            raise ValueError(
                f"a loss launches {part.kernel!r}, of which no time is known; name a configuration "
                f"for sm_90 that states its work: {', '.join(sorted(times))}"
            )
        return times[part.kernel].seconds
    least = part.launches * machine.launch
    busy = max(part.library_flop / machine.product, part.library_bytes / machine.memory)
    return max(busy, least)


def kernel_times(
    problem: Problem, configurations: Iterable[Configuration], compiled: Iterable[Compiled]
) -> dict[str, Time]:
    """Times of the kernels that state their work, by name; ``compiled``: one sm_90, one Triton."""
    by_name = {each.name: each for each in compiled}
    return {
        each.name: kernel_time(by_name[each.name], each.work(problem), H200, each.l1_hits)
        for each in configurations
        if each.work is not None and each.name in by_name
    }


def _operand_bytes(step: Step) -> float:
    """Bytes that wgmma reads from shared memory in a step: each warp group both factors."""
    match = re.match(r"m64n(\d+)", step.shape)
    if match is None:
        return 0.0
    rows = 64 + int(match[1])  # of 32 bytes: k is 16 in 16 bits, 8 in tf32
    return step.products * rows * 32 * step.threads / (4 * WARP)
