"""What check --cluster reads of a profile, and what a test job says of its node."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clipdiff.errors import ConfigError
from clipdiff.planning.cluster import cluster_findings, profile_places


def test_each_different_place_of_a_profile_is_looked_at_once(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "default-resources: {slurm_partition: cpu, slurm_account: lab, mem_mb: 100}\n"
        "set-resources:\n"
        '  train: {slurm_partition: gpu, gres: "gpu:1"}\n'
        '  generate: {slurm_partition: gpu, gres: "gpu:1", runtime: 60}\n'
        "  gather: {mem_mb: 900}\n"
    )
    assert profile_places(path) == [
        {"slurm_partition": "cpu", "slurm_account": "lab"},
        {"slurm_partition": "gpu", "slurm_account": "lab", "gres": "gpu:1"},
    ]


@pytest.mark.parametrize("text", ["jobs: 1\n", "- a\n", "default-resources: [a]\n", "a: [\n"])
def test_what_is_no_profile_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml: no SLURM profile"):
        list(cluster_findings(tmp_path, tmp_path))


def test_without_slurm_nothing_else_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    findings = list(cluster_findings(Path("profiles/slurm"), tmp_path))
    assert findings == [(False, "sbatch is not on PATH; run this on a login node")]


def test_a_test_job_tells_of_its_node(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    command = [sys.executable, "-m", "clipdiff.planning.cluster", mark]
    for shared in (False, True):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        facts = json.loads(done.stdout)
        assert facts["shared"] is shared
        assert facts["scratch_gib"] > 0
        assert set(facts) >= {"node", "gpus", "scratch", "hub", "offline"}
        mark.touch()
