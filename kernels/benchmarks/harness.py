"""What every kernel benchmark shares: batches, one measured step, peak memory, gate and floor."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import perf_counter

import torch
import triton
from clipdiff_kernels import contrastive_loss, hinge_loss, squared_loss
from torch import Tensor

LOGIT_SCALE = 14.3
EXACT_UP_TO = (
    4096  # pairs; above, float64 comes from the chunked backend, which has no N x N matrix
)
OPS = {
    "contrastive": lambda i, p, t, **kw: contrastive_loss(i, p, t, LOGIT_SCALE, **kw),
    "squared": squared_loss,
    "hinge": hinge_loss,
}
# Multiply-add units of 2 N N D a forward and text backward cannot do without.
UNITS = {"contrastive": 3, "squared": 0, "hinge": 2}
# By precision of the products: largest relative errors of the loss and, by norm, of a gradient.
LIMITS = {
    "fp32": (1e-5, 1e-5),
    "tf32x3": (1e-5, 5e-5),
    "bf16": (2e-3, 1e-2),
    "fp16": (2e-3, 1e-2),
}
COMMIT_VARIABLE = "CLIPDIFF_BENCH_COMMIT"  # where there is no git
COLUMNS = [
    "date", "op", "provider", "N", "M", "D", "dtype", "clock", "median_ms", "peak_mb", "floor_ms",
    "loss_error", "grad_error", "ratio", "device", "driver", "torch", "triton", "commit",
]  # fmt: skip

# pytest-benchmark's timer: --benchmark-timer=time.process_time on a machine that others keep busy.
CLOCK: list[Callable[[], float]] = [perf_counter]

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Size:
    """N pairs of M images, embedded in D dimensions."""

    pairs: int
    images: int
    width: int

    def __str__(self) -> str:
        return f"N={self.pairs} M={self.images} D={self.width}"


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


@cache
def make_batch(size: Size, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Unit embeddings of images and texts and random pairs of distinct images."""
    generator = torch.Generator().manual_seed(42)
    images = torch.randn(size.images, size.width, generator=generator)
    texts = torch.randn(size.pairs, size.width, generator=generator)
    first = torch.randint(size.images, (size.pairs,), generator=generator)
    step = torch.randint(1, size.images, (size.pairs,), generator=generator)
    pairs = torch.stack([first, (first + step) % size.images], 1)
    unit = torch.nn.functional.normalize
    return unit(images).to(device(), dtype), pairs.to(device()), unit(texts).to(device(), dtype)


def run_step(loss: Loss, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Loss and text gradient, with the device waited for: what is timed."""
    images, pairs, texts = batch
    texts = texts.detach().requires_grad_()
    value = loss(images, pairs, texts)
    value.backward()
    if texts.is_cuda:
        torch.cuda.synchronize()
    return value.detach(), texts.grad


@cache
def exact(op: str, size: Size, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The step in float64 on the same (rounded) inputs."""
    images, pairs, texts = make_batch(size, dtype)
    backend = "reference" if size.pairs <= EXACT_UP_TO else "chunked"
    batch = images.double(), pairs, texts.double()
    return run_step(lambda i, p, t: OPS[op](i, p, t, backend=backend), batch)


def errors(op: str, size: Size, dtype: torch.dtype, loss: Loss) -> tuple[float, float]:
    """Relative errors of the loss and, by norm, of the text gradient."""
    got = run_step(loss, make_batch(size, dtype))
    off = [relative(mine, right) for mine, right in zip(got, exact(op, size, dtype), strict=True)]
    return off[0], off[1]


def relative(mine: Tensor, right: Tensor) -> float:
    """The error by norm, over the norm of what is right."""
    error = torch.linalg.vector_norm(mine.double() - right)
    return (error / torch.linalg.vector_norm(right)).item()


def limits(dtype: torch.dtype) -> tuple[float, float]:
    """Errors of products in ``dtype`` above which a time means nothing."""
    return LIMITS[{torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]]


def peak_bytes(step: Callable[[], object]) -> int:
    """Most memory held at once during ``step`` above what was held before, outputs included.

    On a GPU what torch allocated; else, on Linux, the peak of the process's resident memory.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL(None).malloc_trim(0)  # give freed memory back, or the step would reuse it unseen
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak to what is resident now
    before = _resident("VmRSS")
    step()
    return max(0, _resident("VmHWM") - before)


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


@cache
def product_rate(dtype: torch.dtype) -> float:
    """FLOP/s of this device's own matrix product on random data: the roof of the floor."""
    side = 8192 if torch.cuda.is_available() else 1024
    a, b = torch.randn(2, side, side, device=device()).to(dtype)
    return 2 * side**3 / min(_seconds(lambda: a @ b) for _ in range(10))


@cache
def copy_rate() -> float:
    """Bytes/s read and written by a copy."""
    source = torch.empty(2**28 if torch.cuda.is_available() else 2**25, device=device())
    target = torch.empty_like(source)
    return 2 * source.nbytes / min(_seconds(lambda: target.copy_(source)) for _ in range(10))


def _seconds(action: Callable[[], object]) -> float:
    begin = CLOCK[0]()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return CLOCK[0]() - begin


def floor_seconds(op: str, size: Size, dtype: torch.dtype) -> float:
    """Dense products at this device's rate; texts read twice and their gradient written once."""
    products = UNITS[op] * 2 * size.pairs**2 * size.width / product_rate(dtype)
    return max(products, 3 * size.pairs * size.width * dtype.itemsize / copy_rate())


@cache
def where() -> dict[str, str]:
    """What a number must be read with."""
    name, driver = "CPU", ""
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        driver = _said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    else:
        model = [
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ]
        name = f"{model[0] if model else name} x{torch.get_num_threads()}"
    here = str(Path(__file__).parent)
    commit = os.environ.get(COMMIT_VARIABLE) or _said(
        "git", "-C", here, "rev-parse", "--short", "HEAD"
    )
    return {
        "device": name,
        "driver": driver,
        "torch": torch.__version__,
        "triton": triton.__version__,
        "commit": commit,
    }


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.split("\n")[0].strip()
