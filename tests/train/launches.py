"""Which kernels Triton's interpreter runs in this process (TRITON_INTERPRET=1)."""

from collections import Counter
from typing import Any

from triton.runtime.interpreter import InterpretedFunction


def counted() -> Counter[str]:
    """Return the number of launches of each kernel from now on."""
    launches: Counter[str] = Counter()
    run = InterpretedFunction.run

    def counting(kernel: InterpretedFunction, *arguments: Any, **settings: Any) -> Any:
        launches[kernel.__name__] += 1
        return run(kernel, *arguments, **settings)

    InterpretedFunction.run = counting
    return launches
