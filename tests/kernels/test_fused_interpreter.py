"""Run the Triton kernels' tests by Triton's interpreter, in a process that sets it before triton's
import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


def _run(marker: str, *names: str) -> None:
    files = [str(HERE / name) for name in names]
    command = [sys.executable, "-m", "pytest", *files, "-q", "-m", marker]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


compiled_elsewhere = pytest.mark.skipif(torch.cuda.is_available(), reason="they run compiled")


@compiled_elsewhere
def test_kernels_match_their_references() -> None:
    _run("not slow", "test_fused.py", "test_fused_ways.py", "test_fused_extremes.py")


@pytest.mark.slow
@compiled_elsewhere
def test_blocks_of_rows_and_operators() -> None:
    _run("not slow", "test_rows.py", "test_operators.py")


@pytest.mark.slow
@compiled_elsewhere
def test_kernels_match_their_references_on_random_cases() -> None:
    _run("slow", "test_fused.py", "test_fused_random.py")
