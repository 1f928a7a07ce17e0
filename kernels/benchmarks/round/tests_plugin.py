"""A pytest plugin: failures to disk as they come, and the counts at the end."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from lines import ROWS, append_row, note_failure

OUT, ROUND = os.environ["CLIPDIFF_ROUND"].split("\n")
COUNTS: Counter[str] = Counter()
FILE: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    FILE.append(Path(config.args[0]).name)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        COUNTS[report.outcome] += 1
    if report.failed:
        note_failure(
            Path(OUT), f"{ROUND} tests: {report.nodeid} ({report.when})", report.longreprtext
        )


def pytest_sessionfinish() -> None:
    names = ("passed", "failed", "skipped")
    row = {"round": ROUND, "part": "tests", "figure": "outcomes", "file": FILE[0]}
    append_row(Path(OUT) / ROWS, row | {name: COUNTS[name] for name in names})
