"""The kernels' tests, a file a process; every failure is on disk at once, and stops nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .record import Record

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "tests/kernels"
DRY_TESTS = ["test_fused.py", "-k", "test_squared or test_contrastive_float_scale"]
OURS = "test_round.py"  # runs rounds
HANG_SECONDS = 60  # after which pytest says where a test stands


def run(record: Record) -> None:
    """Rows ``tests``, one a file, as each ends."""
    names = [path.name for path in sorted(FOLDER.glob("test_*.py"))]
    files = [DRY_TESTS] if record.dry else [[name] for name in names if name != OURS]
    begun = {row["piece"] for row in record.rows("tests", "begin")}
    left = [file for file in files if file[0] not in begun]
    with ThreadPoolExecutor(max(1, min(8, len(os.sched_getaffinity(0)) // 2))) as pool:
        list(pool.map(lambda file: run_file(record, file), left))


def run_file(record: Record, file: list[str]) -> None:
    """One file's tests in a process of its own, which the plugin below tells of."""
    record.add("begin", piece=file[0])
    begin = time.time()
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"]
    command += ["-p", "round.tests_plugin", "-m", "not slow", f"--confcutdir={FOLDER}"]
    command += ["-o", f"faulthandler_timeout={HANG_SECONDS}", str(FOLDER / file[0]), *file[1:]]
    own = {"CLIPDIFF_ROUND": f"{record.out}\n{record.round}"}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, check=False
    )
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for row in record.rows("tests", "outcomes"):
        if row["file"] == file[0]:
            counts |= {name: row[name] for name in counts}
    record.add("tests", file=file[0], **counts, status=done.returncode, seconds=time.time() - begin)
    if done.returncode not in (0, 1, 5):  # the failures of 1 are told; 5: nothing collected
        record.fail(f"{file[0]} ended with {done.returncode}", done.stdout + done.stderr)
