"""Collects the benchmark rows, appends them to results.csv and prints ratios at the end."""

import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # harness.py and others; pytest's importlib mode adds no path

import harness  # noqa: E402
import results  # noqa: E402

ROWS: list[results.Row] = []
BASELINE = "eager"


@pytest.fixture
def rows() -> list[results.Row]:
    return ROWS


@pytest.fixture(autouse=True)
def _clock(request: pytest.FixtureRequest) -> None:
    busy = "process_time" in str(request.config.getoption("benchmark_timer"))
    harness.CLOCK[0] = time.process_time if busy else time.perf_counter


def pytest_sessionfinish() -> None:
    if ROWS:
        results.append(HERE / "results.csv", ROWS, BASELINE)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not ROWS:
        return
    terminalreporter.section("x: times faster than the eager loss")
    for row in ROWS:
        terminalreporter.write_line(results.line(row, ROWS, BASELINE))
