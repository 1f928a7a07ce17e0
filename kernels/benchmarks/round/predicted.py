"""What the code that this Triton compiles for sm_90 promises, to be read beside the times."""

from __future__ import annotations

from functools import partial

from clipdiff_kernels.aot.compiled import compile_all, compile_for
from clipdiff_kernels.aot.configurations import LOSSES, configurations
from clipdiff_kernels.aot.roofline import kernel_times, loss_time
from clipdiff_kernels.aot.spec import Problem

from .record import Record
from .times import IMAGES, PAIRS, WIDTH

SECONDS = 60
ARCH = "sm_90"


def run(record: Record) -> None:
    """A row ``predicted`` for each loss and N, and ``resources`` for each kernel."""
    record.each({"predict": partial(predict, record)}, SECONDS)


def predict(record: Record) -> None:
    """Of a dry round's one kernel no loss can be made."""
    if record.dry:
        compiled = [compile_for(next(configurations(ARCH)), ARCH)[0]]
    else:
        compiled = compile_all(configurations, [ARCH])
    for each in compiled:
        record.add("resources", kernel=each.name, compiled=each.to_dict())
    for pairs in PAIRS:
        problem = Problem(pairs, WIDTH, IMAGES)
        times = kernel_times(problem, configurations(ARCH), compiled)
        for name, time in times.items():
            record.add("predicted kernel", kernel=name, N=pairs, ms=1e3 * time.seconds)
        for loss in () if record.dry else LOSSES:
            record.add(
                "predicted", loss=loss.name, N=pairs, ms=1e3 * loss_time(loss, problem, times)
            )
