"""``clipdiff check --cluster`` on a real one."""

import subprocess
import sys
from pathlib import Path

import pytest
from one_machine import Cluster

pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent
PROFILE = """
default-resources: {slurm_partition: cpu, slurm_account: default}
set-resources:
  train: {slurm_partition: gpu, gres: "gpu:1"}
  embed: {slurm_partition: gppu}
"""


def test_it_finds_what_is_right_and_what_is_wrong(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(PROFILE)
    results = tmp_path / "results"
    command = [BIN / "clipdiff", "check", "--cluster", tmp_path, "--results", results]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    lines = {" ".join(line.split()) for line in done.stdout.splitlines()}
    assert "ok partition cpu" in lines
    assert "missing partition gppu; SLURM has: ['cpu', 'gpu']" in lines
    assert "ok account default: not checked, this cluster keeps no accounts" in lines
    cpu = [line for line in lines if "(slurm_partition=cpu, slurm_account=default)" in line]
    assert cpu[0].startswith("ok test job")
    assert any(line.startswith("ok n") and "writes to" in line for line in lines)
    assert any("GPUs not visible" in line for line in lines)  # null devices stand in for them
    assert any("invalid partition" in line for line in lines)
    assert not list(results.iterdir())  # the mark of the test jobs is gone
