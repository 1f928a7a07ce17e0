"""Files that grow by whole lines: what was written is there after any kill, and is never torn."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

NO_DEVICE = 4  # exit status of a process that finds no GPU
ROWS, FAILURES = "round.jsonl", "failures.md"


def append(path: Path, text: str) -> None:
    """Add ``text``, which ends with a newline, in one write, and wait until the disk has it."""
    file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o644)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":  # a full disk or a power cut left half
            text = "\n" + text
        os.write(file, text.encode())
        os.fsync(file)
    finally:
        os.close(file)


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Add a row as one line of JSON; floats keep five digits."""
    append(path, json.dumps({name: _short(value) for name, value in row.items()}) + "\n")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All whole rows of a file that may not be there yet."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:  # the half line that ``append`` closed
            continue
    return rows


def note_failure(out: Path, title: str, text: str) -> None:
    """Add a section to a round's failures: the last 60 lines of what was said."""
    tail = "\n".join(text.strip().splitlines()[-60:])
    append(out / FAILURES, f"## {title}\n\n```\n{tail}\n```\n\n")


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _short(each) for name, each in value.items()}
    return [_short(each) for each in value] if isinstance(value, list) else value
