"""What is said of a kernel before it is compiled: types, settings, and the work of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from triton.compiler import ASTSource


@dataclass(frozen=True)
class Problem:
    """A batch: N pairs (and as many texts), embedding width D, M images."""

    pairs: int
    width: int
    images: int


@dataclass(frozen=True)
class Workload:
    """What one pass over a batch asks of a kernel.

    ``programs``: of all launches together. ``steps``: turns of the main loop in each (1 without a
    loop). ``memory_bytes``: that must cross device memory, read and written, in all launches.
    """

    programs: int
    steps: float
    memory_bytes: float
    launches: int = 1


@dataclass(frozen=True)
class Configuration:
    """A kernel as a loss launches it.

    ``signature``: of each argument ``"*bf16"``, ``"i32"``, ``"fp32"``,
    ``"tensordesc<bf16[128,64]>"`` or ``"constexpr"``. ``aligned``: integers that are multiples of
    16; pointers always are. ``use`` names the bounds the kernel is held to (``bounds.py``).

    A program makes, in one step of its main loop, ``flop`` FLOP of tensor-core products (all three
    of tf32x3), or ``logits`` logits with ``exps`` exponentials each (0 where it makes none). From
    these unrolled loops are recognised. ``l1_hits``: the share of plain loads that L1 answers.
    ``work``: None where no time is predicted.
    """

    name: str
    kernel: Any
    signature: Mapping[str, str]
    constexprs: Mapping[str, Any]
    num_warps: int
    num_stages: int
    aligned: frozenset[str] = frozenset()
    use: str = "other"
    flop: float = 0.0
    logits: float = 0.0
    exps: float = 0.0
    l1_hits: float = 0.0
    work: Callable[[Problem], Workload] | None = field(default=None, compare=False)

    def source(self) -> ASTSource:
        names = self.kernel.arg_names
        if missing := set(names) ^ set(self.signature):
            raise ValueError(
                f"{self.name}: the signature and the arguments of {self.kernel.__name__} differ "
                f"in {', '.join(sorted(missing))}; name every argument once"
            )
        aligned = {
            (place,): [["tt.divisibility", 16]]
            for place, name in enumerate(names)
            if self.signature[name].startswith("*") or name in self.aligned
        }
        signature = {name: self.signature[name] for name in names}
        return ASTSource(self.kernel, signature, dict(self.constexprs), aligned)


@dataclass(frozen=True)
class Phase:
    """A step of a loss: a kernel by the name of its configuration, or a library's product."""

    kernel: str | None = None
    library_flop: float = 0.0
    library_bytes: float = 0.0
    launches: int = 1
    """Of the library; kernels have theirs in ``Workload``."""


@dataclass(frozen=True)
class Loss:
    """Forward and text gradient of a loss, part by part."""

    name: str
    parts: Callable[[Problem], list[Phase]] = field(compare=False)
