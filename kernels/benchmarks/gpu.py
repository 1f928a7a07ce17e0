"""Correctness, benchmark and tuning on a GPU machine, in one call of at most eight minutes.

``python kernels/benchmarks/gpu.py [--out FOLDER]`` needs torch, triton, numpy, pytest and
pytest-benchmark, nothing else. It appends to results.csv and writes tuning.md (to FOLDER).
Exits 1 when a kernel disagrees with its reference: the times then mean nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "kernels"))

import harness  # noqa: E402
import torch  # noqa: E402
from clipdiff_kernels import launch  # noqa: E402
from clipdiff_kernels.launch import Tile  # noqa: E402

TESTS_SECONDS, BENCHMARKS_SECONDS, TUNING_SECONDS = 150, 180, 120
CANDIDATES = {
    "dot16": [
        Tile(128, 128, 64, 8, 3), Tile(128, 128, 64, 8, 4), Tile(128, 64, 64, 8, 3),
        Tile(64, 128, 64, 8, 3), Tile(128, 128, 32, 8, 4), Tile(64, 64, 64, 4, 3),
    ],
    "product16": [
        Tile(128, 64, 128, 8, 3), Tile(128, 64, 128, 8, 4), Tile(128, 32, 128, 8, 4),
        Tile(64, 64, 128, 4, 3), Tile(128, 64, 256, 8, 2),
    ],
    "gather": [
        Tile(128, 32, 16, 8, 3), Tile(128, 64, 16, 8, 2), Tile(256, 32, 16, 8, 2),
        Tile(128, 16, 16, 4, 3), Tile(256, 16, 16, 4, 2),
    ],
    "segment": [
        Tile(128, 16, 16, 4, 2), Tile(256, 16, 16, 8, 2), Tile(128, 32, 16, 8, 2),
        Tile(64, 32, 16, 4, 2), Tile(256, 8, 16, 4, 2),
    ],
}  # fmt: skip


def run_tests() -> int:
    """The kernels' tests, in processes side by side: they spend their time compiling."""
    chosen = ["contrastive", "hinge", "squared"]
    chosen.append(" and ".join(f"not {name}" for name in chosen))
    common = "-x", "-m", "not slow", "tests/kernels/test_fused.py", "-k"
    with ThreadPoolExecutor() as pool:
        return max(pool.map(lambda name: run_pytest(TESTS_SECONDS, *common, name), chosen))


def run_pytest(seconds: int, *arguments: str) -> int:
    """pytest in its own process; 124 when it passed its time."""
    path = os.pathsep.join([str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return 124
    return done.returncode


def step_ms(backend: str, size: harness.Size) -> float:
    """Median time of a contrastive loss with its text gradient."""
    batch = harness.make_batch(size, torch.bfloat16)

    def loss(images, pairs, texts):
        return harness.OPS["contrastive"](images, pairs, texts, backend=backend)

    times = []
    for _ in range(13):
        begin = time.perf_counter()
        harness.run_step(loss, batch)
        times.append(time.perf_counter() - begin)
    return 1e3 * sorted(times[3:])[5]


def tune(until: float) -> Iterator[str]:
    """A Markdown row for each candidate; a tile that does not compile is a row too."""
    size = harness.Size(32768, 1000, 768)
    for name, tiles in CANDIDATES.items():
        backend = "gather" if name in ("gather", "segment") else "triton"
        chosen = launch.TILES[name]
        for candidate in tiles:
            if time.monotonic() > until:
                yield f"| {name} | {candidate} | out of time |"
                continue
            launch.TILES[name] = candidate
            try:
                shown = f"{step_ms(backend, size):.3f}"
            except Exception as error:  # the compiler refuses a tile in several ways
                shown = type(error).__name__
            mark = " (in use)" if candidate == chosen else ""
            yield f"| {name} | {candidate}{mark} | {shown} |"
        launch.TILES[name] = chosen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    out = parser.parse_args().out
    if not torch.cuda.is_available():
        sys.exit("gpu.py needs a CUDA device; without one: pytest tests/kernels")
    out.mkdir(parents=True, exist_ok=True)
    red = run_tests()
    if red:
        sys.exit(f"tests/kernels/test_fused.py ended with {red}: no times are taken")
    red = run_pytest(BENCHMARKS_SECONDS, "kernels/benchmarks", "--benchmark-only")
    results = Path(__file__).with_name("results.csv")
    if results.exists() and out != results.parent:
        shutil.copy(results, out)
    lines = [
        f"{harness.where()}",
        "",
        "| use | tile | ms, N = 32,768, D = 768, bf16 |",
        "|---|---|---|",
    ]
    for line in tune(time.monotonic() + TUNING_SECONDS):
        lines.append(line)
        (out / "tuning.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")
    return red


if __name__ == "__main__":
    sys.exit(main())
