"""A whole training step, ours against a restatement of the public PC-CLIP code's.

ViT-B-32's text tower and 32 pairs a step on a CPU, ViT-L-14's and 512 on a GPU; eight steps over
texts of 34 tokens on average, at logit_scale 1. Both get the same batches and start from the same
weights, so they must agree: losses step by step, and where the weights end. The floor is the
model's FLOP on the real tokens at the rate of the device's own product; its share of the time is
the model FLOP utilisation. ``OMP_NUM_THREADS=1 pytest tests/benchmarks --benchmark-only -k
training_step -s`` appends to training_steps.csv; ``--benchmark-timer=time.process_time`` for CPU
seconds, on a machine that others use too.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "kernels/benchmarks")]

import harness  # noqa: E402
import results  # noqa: E402
import training_steps as steps  # noqa: E402

GPU = torch.cuda.is_available()
# The loss of every step, and by norm how far apart the weights end over how far they went. Adam
# makes steps of gradients that are rounding noise, and a GPU's are in bf16.
LOSS_LIMIT, MOVED_LIMIT = (2e-3, 0.5) if GPU else (1e-4, 0.02)
TRAINED: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

BASELINE = "public"


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Iterator[list[results.Row]]:
    """Rows of all steps, written and shown at the end."""
    busy = "process_time" in str(request.config.getoption("benchmark_timer"))
    harness.CLOCK[0] = time.process_time if busy else time.perf_counter
    collected: list[results.Row] = []
    yield collected
    results.append(HERE / "training_steps.csv", collected, BASELINE)
    for row in collected:
        rate = 1e3 * row["N"] / row["median_ms"]
        print(f"{results.line(row, collected, BASELINE)}  {rate:.1f} pairs/s")


def weights(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([each.detach().flatten().cpu() for each in module.parameters()])


@pytest.mark.parametrize("name", ["public", "ours", "ours-compiled"])
def test_training_step(benchmark, rows, name):
    if name == "ours-compiled" and not GPU:
        pytest.skip("compiled for GPUs")
    data = steps.make_data()
    batches = steps.make_batches(data)
    if name == "public":
        taker = steps.PublicStep(data)
    else:
        taker = steps.OurStep(data, compiled=name == "ours-compiled")
    before = weights(taker.transformer)
    peak = harness.peak_bytes(lambda: taker.step(batches[0]))

    def epoch() -> torch.Tensor:
        losses = [taker.step(batch) for batch in batches]
        return torch.stack(losses).cpu()  # waits for the device

    benchmark.group = f"training step, {steps.CLIP}"
    losses = benchmark.pedantic(epoch, rounds=1)
    TRAINED[name] = losses, weights(taker.transformer) - before
    true_losses, true_moved = TRAINED["public"]
    off = float((losses / true_losses - 1).abs().max())
    moved = TRAINED[name][1]
    apart = float((moved - true_moved).norm() / true_moved.norm())
    dtype = torch.bfloat16 if GPU and name != "public" else torch.float32
    rows.append(
        {
            "op": "step",
            "provider": name,
            "N": steps.BATCH,
            "M": steps.IMAGES,
            "D": steps.WIDTH,
            "dtype": str(dtype).removeprefix("torch."),
            "clock": harness.CLOCK[0].__name__,
            "median_ms": 1e3 * benchmark.stats.stats.median / len(batches),
            "peak_mb": peak / 1e6,
            "floor_ms": 1e3 * steps.model_flops(data) / harness.product_rate(dtype),
            "loss_error": off,
            "grad_error": apart,
            "within": off <= LOSS_LIMIT and apart <= MOVED_LIMIT,
        }
    )
    assert rows[-1]["within"], f"errors {off}, {apart}: the time means nothing"
