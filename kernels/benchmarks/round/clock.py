"""Times of a step by the device's own clock, and what it launched."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

Step = Callable[[], object]
PROFILED = 3 if torch.cuda.is_available() else 1  # steps


def median_ms(step: Step, *, seconds: float = 0.5, least: int = 5, most: int = 30) -> float:
    """Median time of a warm step: as many as fit in ``seconds``, ``least`` to ``most``."""
    step()
    once = _times(step, 1)[0]
    rounds = max(least, min(most, int(1e3 * seconds / max(once, 1e-3))))
    return median(_times(step, rounds))


def _times(step: Step, rounds: int) -> list[float]:
    """Milliseconds of each of ``rounds`` steps, queued without waiting in between on a GPU."""
    if not torch.cuda.is_available():
        times = []
        for _ in range(rounds):
            begin = perf_counter()
            step()
            times.append(1e3 * (perf_counter() - begin))
        return times
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(rounds + 1)]
    marks[0].record()
    for mark in marks[1:]:
        step()
        mark.record()
    torch.cuda.synchronize()
    return [a.elapsed_time(b) for a, b in pairwise(marks)]


def launched(step: Step) -> dict[str, Any]:
    """What a warm step launches: ``launches``, and ``kernels`` by time, (name, ms, calls) each.

    On a CPU torch's operators stand in for kernels.
    """
    gpu = torch.cuda.is_available()
    wanted = ProfilerActivity.CUDA if gpu else ProfilerActivity.CPU
    step()
    with profile(activities=[wanted]) as profiler:
        for _ in range(PROFILED):
            step()
        if gpu:
            torch.cuda.synchronize()
    spent = "self_device_time_total" if gpu else "self_cpu_time_total"
    on = DeviceType.CUDA if gpu else DeviceType.CPU
    events = [e for e in profiler.key_averages() if e.device_type == on and getattr(e, spent) > 0]
    events.sort(key=lambda e: -getattr(e, spent))
    kernels = [[e.key[:90], getattr(e, spent) / 1e3 / PROFILED, e.count / PROFILED] for e in events]
    return {"launches": sum(calls for *_, calls in kernels), "kernels": kernels[:16]}
