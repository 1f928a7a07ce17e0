"""What becomes of benchmark rows: lines of a CSV file, and lines on the screen."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import harness

Row = dict[str, Any]


def ratio(row: Row, rows: list[Row], baseline: str) -> str:
    """How many times faster than the baseline of the same run; refused where its gate is shut."""
    if not row["within"]:
        return "refused"
    same = ("op", "N", "M", "D")
    for base in rows:
        if base["provider"] == baseline and all(base[name] == row[name] for name in same):
            return f"{base['median_ms'] / row['median_ms']:.2f}"
    return ""


def append(path: Path, rows: list[Row], baseline: str) -> None:
    """Add the rows to a CSV file, each with the machine and the commit that it was measured on."""
    fresh = not path.exists()
    common = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), **harness.where()}
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, harness.COLUMNS, extrasaction="ignore", lineterminator="\n")
        if fresh:
            writer.writeheader()
        for row in rows:
            values = {name: _rounded(value) for name, value in row.items()}
            writer.writerow(values | common | {"ratio": ratio(row, rows, baseline)})


def line(row: Row, rows: list[Row], baseline: str) -> str:
    """A row for the screen."""
    return (
        f"{row['op']:12} N={row['N']:<6} M={row['M']:<5} {row['provider']:18} "
        f"{row['median_ms']:10.2f} ms {row['peak_mb']:8.1f} MB  floor {row['floor_ms']:8.2f} "
        f"ms ({row['floor_ms'] / row['median_ms']:.0%})  error {row['loss_error']:.1e} "
        f"{row['grad_error']:.1e}  x {ratio(row, rows, baseline)}"
    )


def _rounded(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value
