"""The GPU round: correctness, times, tests, tuning and training on one machine, in one call.

``python kernels/benchmarks/gpu.py [--out FOLDER]`` needs torch, triton, numpy, pytest and
pytest-benchmark, nothing else (``carry.py`` prepares what the last part needs besides). Parts run
one after another, in order of worth, each in processes of its own with a time limit: a crash, a
hang or a lost device in one stops no other. Every figure is a line of ``round.jsonl`` as soon as it
is known, every failure a section of ``failures.md``; ``round.md`` shows both, and ``tiles.json`` is
what the tuning found. ``--dry`` runs all of it without a GPU, at tiny sizes, by Triton's
interpreter: it proves the script, and its times mean nothing. Exits 1 where something failed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from lines import FAILURES, NO_DEVICE, ROWS, append_row, note_failure, read_rows
from summary import write_summary

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Part:
    """Seconds that a part may take, and processes that share it where no time is taken."""

    seconds: float
    processes: int = 1


PARTS = {
    "ops": Part(40, processes=8),
    "times": Part(110),
    "tests": Part(100),
    "compile_tiles": Part(50, processes=8),
    "tiles": Part(50),
    "step": Part(80),
    "train": Part(80),
    "predicted": Part(30),
}
ROUND_SECONDS = 540
DRY_SECONDS = 120  # a part
# A dry round takes no times, so that these may run beside the others; none reads their figures.
BESIDE = {"tests", "train", "predicted"}


def main() -> int:
    chosen = parse_arguments()
    chosen.out.mkdir(parents=True, exist_ok=True)
    runner = Runner(chosen)
    parts = chosen.parts.split(",")
    lanes = [parts]
    if chosen.dry:
        lanes = [[n for n in parts if n not in BESIDE], [n for n in parts if n in BESIDE]]
    with ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(lambda lane: [runner.run(name) for name in lane], lanes))
    sys.stdout.write(f"{chosen.out / 'round.md'} shows what was found\n")
    if runner.failed:
        sys.stdout.write(f"{chosen.out / FAILURES} tells what failed\n")
    return 1 if runner.failed else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=HERE / "rounds", help="default: %(default)s")
    parser.add_argument("--parts", default=",".join(PARTS), help="default: %(default)s")
    parser.add_argument("--dry", action="store_true", help="tiny, on a CPU, interpreted")
    parser.add_argument(
        "--seconds",
        type=float,
        default=ROUND_SECONDS,
        help="of the whole round; default: %(default)s",
    )
    parser.add_argument("--carried", type=Path, default=ROOT / ".carried", help="from carry.py")
    parser.add_argument(
        "--commit", default="", help="what runs, where neither git nor --carried say it"
    )
    chosen = parser.parse_args()
    unknown = [part for part in chosen.parts.split(",") if part not in PARTS]
    if unknown:
        parser.error(f"--parts: no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return chosen


class Runner:
    """Starts the processes of each part, ends them at their limit, writes down what went wrong."""

    def __init__(self, chosen: argparse.Namespace):
        self.out: Path = chosen.out.resolve()
        self.carried: Path = chosen.carried.resolve()
        self.dry: bool = chosen.dry
        self.begun = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self.until = time.time() + chosen.seconds
        self.summing = threading.Lock()
        self.environment = self._environment(chosen.commit)

    def run(self, name: str) -> None:
        """One part, by as many processes as it may have."""
        part, begin = PARTS[name], time.time()
        until = min(self.until, begin + (DRY_SECONDS if self.dry else part.seconds))
        cores = 4 if self.dry else len(os.sched_getaffinity(0))
        shares = max(1, min(part.processes, cores // 2))
        with ThreadPoolExecutor(shares) as pool:
            list(pool.map(lambda i: self._share(name, f"{i}/{shares}", until), range(shares)))
        row = {"round": self.begun, "part": name, "figure": "part", "dry": self.dry}
        append_row(self.out / ROWS, row | {"seconds": time.time() - begin})
        with self.summing:
            write_summary(self.out)

    def _share(self, name: str, share: str, until: float) -> None:
        """A part's share in one process, and in another where that ends before its work does."""
        while True:
            begun = self._begun(name)
            with tempfile.TemporaryFile("w+") as said:
                status = self._process(name, share, until, said)
                if status == 0:
                    return
                if status == NO_DEVICE:
                    raise SystemExit("gpu.py: torch sees no GPU here; without one: gpu.py --dry")
                said.seek(0)
                ended = f"ended with {status}" if isinstance(status, int) else status
                title = f"{self.begun} {name} {share}: {ended}"
                last = self._begun(name)[-1:]
                note_failure(self.out, f"{title}, while at {last}", said.read())
            if time.time() > until or self._begun(name) == begun:
                return

    def _process(self, name: str, share: str, until: float, said: TextIO) -> int | str:
        """Run one process to its end or to ``until``; its status, or why there is none."""
        command = [sys.executable, "-m", "round.process", str(self.out), str(self.carried)]
        command += [self.begun, name, share, "dry" if self.dry else "real"]
        environment = dict(self.environment)
        if name == "predicted":  # compiles, which Triton does not where it interprets
            environment["TRITON_INTERPRET"] = "0"
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stderr=said, start_new_session=True
        )
        try:
            status = process.wait(max(1, until - time.time()))
        except subprocess.TimeoutExpired:
            status = "stopped at the limit of its time"
        finally:  # with all that it started
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return status

    @property
    def failed(self) -> bool:
        """Whether anything of this round is among the failures."""
        noted = self.out / FAILURES
        return noted.exists() and self.begun in noted.read_text()

    def _begun(self, name: str) -> list[str]:
        rows = [row for row in read_rows(self.out / ROWS) if row["round"] == self.begun]
        return [row["piece"] for row in rows if row["part"] == name and row["figure"] == "begin"]

    def _environment(self, commit: str) -> dict[str, str]:
        noted = self.carried / "commit"
        if not commit and noted.exists():
            commit = noted.read_text().strip()
        path = [str(HERE), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")]
        own = {"PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}
        if commit:
            own["CLIPDIFF_BENCH_COMMIT"] = commit
        if self.dry:
            own |= {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        return os.environ | own


if __name__ == "__main__":
    sys.exit(main())
