"""One process of a part: ``python -m round.process`` and what ``gpu.py`` gives it."""

from __future__ import annotations

import ctypes
import importlib
import signal
import sys
from pathlib import Path

import harness
import torch
from lines import NO_DEVICE

from .record import Record


def main(out: str, carried: str, begun: str, part: str, share: str, mode: str) -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: go when the runner goes
    which, shares = map(int, share.split("/"))
    record = Record(Path(out), begun, part, (which, shares), mode == "dry", Path(carried))
    if mode == "real" and not torch.cuda.is_available():
        sys.exit(NO_DEVICE)
    if which == 0 and not record.rows(figure="machine"):
        record.add("machine", **harness.where(), python=sys.version.split()[0])
    importlib.import_module(f"round.{part}").run(record)


if __name__ == "__main__":
    main(*sys.argv[1:])
