"""Collects the benchmark rows, appends them to results.csv and prints ratios at the end."""

import csv
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # harness.py and providers.py; pytest's importlib mode adds no path

import harness  # noqa: E402

RESULTS = HERE / "results.csv"
ROWS: list[dict[str, object]] = []
BASELINES = ("eager", "public")


@pytest.fixture
def rows() -> list[dict[str, object]]:
    return ROWS


@pytest.fixture(autouse=True)
def _clock(request: pytest.FixtureRequest) -> None:
    busy = "process_time" in str(request.config.getoption("benchmark_timer"))
    harness.CLOCK[0] = time.process_time if busy else time.perf_counter


def _ratio(row: dict[str, object]) -> str:
    """How many times faster than the same run's eager loss or public step; refused without gate."""
    if not row["within"]:
        return "refused"
    same = ("op", "N", "M", "D")
    base = [r for r in ROWS if r["provider"] in BASELINES and all(r[k] == row[k] for k in same)]
    return f"{base[0]['median_ms'] / row['median_ms']:.2f}" if base else ""


def _shown(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value


def pytest_sessionfinish() -> None:
    if not ROWS:
        return
    fresh = not RESULTS.exists()
    common = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), **harness.where()}
    with RESULTS.open("a", newline="") as file:
        writer = csv.DictWriter(file, harness.COLUMNS, extrasaction="ignore", lineterminator="\n")
        if fresh:
            writer.writeheader()
        for row in ROWS:
            shown = {key: _shown(value) for key, value in row.items()}
            writer.writerow(shown | common | {"ratio": _ratio(row)})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not ROWS:
        return
    terminalreporter.section("x: times faster than the eager loss, or the public step")
    for row in ROWS:
        rate = f"{1e3 * row['N'] / row['median_ms']:.1f} pairs/s" if row["op"] == "step" else ""
        terminalreporter.write_line(
            f"{row['op']:12} N={row['N']:<6} M={row['M']:<5} {row['provider']:18} "
            f"{row['median_ms']:10.2f} ms {row['peak_mb']:8.1f} MB  floor {row['floor_ms']:8.2f} "
            f"ms ({row['floor_ms'] / row['median_ms']:.0%})  error {row['loss_error']:.1e} "
            f"{row['grad_error']:.1e}  x {_ratio(row)}  {rate}"
        )
