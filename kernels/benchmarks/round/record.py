"""Where a part writes its figures, and how it takes its pieces one after another."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lines import ROWS, append_row, note_failure, read_rows

DEVICE_LOST = 3  # exit status: nothing works on this CUDA context any more


@dataclass(frozen=True)
class Record:
    """One part of one round, or the ``share`` (which, of how many) of it that a process takes.

    ``carried`` is the folder that ``carry.py`` made.
    """

    out: Path
    round: str
    part: str
    share: tuple[int, int]
    dry: bool
    carried: Path

    def add(self, figure: str, **values: Any) -> None:
        """Write a figure down, now."""
        row = {"round": self.round, "part": self.part, "figure": figure, **values}
        append_row(self.out / ROWS, row)
        shown = " ".join(f"{name}={_shown(value)}" for name, value in values.items())
        sys.stdout.write(f"{self.part} {figure} {shown}\n"[:300])
        sys.stdout.flush()

    def rows(self, part: str | None = None, figure: str | None = None) -> list[dict[str, Any]]:
        """This round's rows, of a part and figure if named."""
        return [
            row
            for row in read_rows(self.out / ROWS)
            if row["round"] == self.round
            and part in (None, row["part"])
            and figure in (None, row["figure"])
        ]

    def fail(self, title: str, text: str) -> None:
        """Tell of a failure in ``failures.md``."""
        note_failure(self.out, f"{self.round} {self.part}: {title}", text)

    def each(self, pieces: Mapping[str, Callable[[], None]], seconds: float) -> None:
        """Run this share's pieces that no earlier process of this round began.

        A piece that raises is a row and a failure, and the next one follows. One that takes longer
        than ``seconds``, hangs included, ends the process, and the runner starts it again. So does
        one that loses the device.
        """
        begun = {row["piece"] for row in self.rows(self.part, "begin")}
        which, shares = self.share
        planned = [name for name in list(pieces)[which::shares] if name not in begun]
        self.add("planned", pieces=planned)
        for name in planned:
            self.add("begin", piece=name, pid=os.getpid())
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends a process that hangs in C, too
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                pieces[name]()
            except Exception as error:
                self.add("failed", piece=name, error=f"{type(error).__name__}: {error}"[:300])
                self.fail(name, traceback.format_exc())
                _check_device()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)

    def red(self, op: str, backend: str, precision: str) -> bool:
        """Whether the part ``ops`` saw a variant of this op disagree with its reference, or end."""
        right = {row["piece"] for row in self.rows("ops", "agreement") if row["within"]}
        begun = {row["piece"] for row in self.rows("ops", "begin")}
        same = (each.split(", ") for each in begun - right)
        return any(
            variant.startswith(op) and (name, products) == (backend, precision)
            for variant, name, _, products in same
        )


def _check_device() -> None:
    """Leave where an error has spoilt the CUDA context: all that follows would fail."""
    if not torch.cuda.is_available():
        return
    torch.cuda.empty_cache()
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        sys.exit(DEVICE_LOST)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
