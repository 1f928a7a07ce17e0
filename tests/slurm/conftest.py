"""The cluster, and what its failures are tried on."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from login_node import WEIGHTS, Login
from one_machine import Cluster, said, wait_for, why_not

from clipdiff.files import alone


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two nodes with four null devices for GPUs each; up once for all tests."""
    if reason := why_not():
        pytest.skip(reason)
    with alone(Path("/run/lock/clipdiff-slurm")):  # a machine has one /etc/slurm
        made = Cluster()
        made.up()
        yield made
        made.down()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Login:
    """One cell, trained here without SLURM and without interruption: the numbers to arrive at."""
    folder = tmp_path_factory.mktemp("prepared")
    preset = folder / "preset.yaml"
    preset.write_text(
        "llms: [bert]\nlosses: [contrastive]\ncontrols: {rows: []}\n"
        "train: {epochs: 50, checkpoint_every: 10}\n"  # some seconds: to stop it in their midst
        "loss_definitions: {contrastive: {train: {trainable: text}}}\n"  # quick steps
    )
    login = Login(folder, preset)
    login.snakemake(WEIGHTS)
    return login


@pytest.fixture
def login(cluster: Cluster, prepared: Login, tmp_path: Path) -> Iterator[Login]:
    """All that the cell's training needs, and not yet its model; no job is left afterwards."""
    folder = tmp_path / "login"
    shutil.copytree(prepared.folder, folder, symlinks=True)
    shutil.rmtree(folder / "results/models")
    made = Login(folder, *prepared.presets)
    yield made
    for process in made.started:
        process.kill()
    said("scancel", "--user=root")
    wait_for("an empty queue", lambda: not said("squeue", "--noheader"), 60)
