"""Time and peak memory of a loss with its text gradient (images frozen), by op, size and provider.

``pytest kernels/benchmarks --benchmark-only``. Environment: CLIPDIFF_BENCH_PAIRS="4096 16384" for
other N, CLIPDIFF_BENCH_OPS="contrastive" for fewer ops.
"""

import os

import harness
import providers
import pytest
import torch

GPU = torch.cuda.is_available()
DTYPE = torch.bfloat16 if GPU else torch.float32
PAIRS = [int(n) for n in os.environ.get("CLIPDIFF_BENCH_PAIRS", "").split()]
SIZES = [
    harness.Size(pairs, 1000, 768 if GPU else 512)
    for pairs in PAIRS or ([8192, 32768, 65536] if GPU else [1024, 4096])
]
ASKED = os.environ.get("CLIPDIFF_BENCH_OPS", " ".join(harness.OPS)).split()
OPS = [op for op in ASKED if op in harness.OPS]
CASES = [(op, size, name) for op in OPS for size in SIZES for name in providers.NAMES[op]]
# Without an N x N matrix in fp32: the others would need 4 x 17 GB at N = 65,536.
LARGE_PAIRS = 40_000
NEED_MATRIX = {"reference", "eager", "eager-compiled", "open_clip", "open_clip-compiled"}


@pytest.mark.parametrize(
    ("op", "size", "name"), CASES, ids=[f"{op}-{size.pairs}-{name}" for op, size, name in CASES]
)
def test_loss_and_text_gradient(benchmark, rows, op, size, name):
    if op != "squared" and name in NEED_MATRIX and size.pairs > LARGE_PAIRS:
        pytest.skip("keeps several N x N matrices")
    if not GPU and (name in providers.FUSED[op] or name.endswith("-compiled")):
        pytest.skip("timed on a GPU only")
    try:
        loss = providers.provider(op, name)
        off = harness.errors(op, size, DTYPE, loss)
    except providers.UnavailableError as reason:
        pytest.skip(str(reason))
    batch = harness.make_batch(size, DTYPE)
    peak = harness.peak_bytes(lambda: harness.run_step(loss, batch))
    benchmark.group = f"{op} {size}"
    rounds = 20 if GPU or op == "squared" else 3
    benchmark.pedantic(harness.run_step, (loss, batch), rounds=rounds)  # warm by now
    within = all(error <= limit for error, limit in zip(off, harness.limits(DTYPE), strict=True))
    row = {
        "op": op,
        "provider": name,
        "N": size.pairs,
        "M": size.images,
        "D": size.width,
        "dtype": str(DTYPE).removeprefix("torch."),
        "clock": harness.CLOCK[0].__name__,
        "median_ms": 1e3 * benchmark.stats.stats.median,
        "peak_mb": peak / 1e6,
        "floor_ms": 1e3 * harness.floor_seconds(op, size, DTYPE),
        "loss_error": off[0],
        "grad_error": off[1],
        "within": within,
    }
    benchmark.extra_info.update(row)
    rows.append(row)
    if name in ("chunked", "gather", *providers.FUSED[op]):
        assert within, f"errors {off} above {harness.limits(DTYPE)}: the time means nothing"
