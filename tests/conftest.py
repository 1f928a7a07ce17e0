"""Shared by all tests: no hub, one thread, the project's root, and one finished tiny grid."""

import os
import shutil
from pathlib import Path

import pytest
from checkout import Checkout

from clipdiff.files import alone

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("DS_ACCELERATOR", "cpu")

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths of presets start at the root."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The tiny grid, run from nothing to the report: once for all tests of all workers.

    It is there to be read and planned on; what changes it takes ``tiny_copy``.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny"
    with alone(shared):
        made = Checkout(shared)
        if not (shared / "finished").exists():
            made.snakemake()
            (shared / "finished").touch()
    return made


@pytest.fixture(scope="session")
def tiny_results(tiny: Checkout) -> Path:
    """The results of the tiny grid, to be read."""
    return tiny.results


@pytest.fixture
def tiny_copy(tiny: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished tiny grid, to be changed."""
    shutil.copytree(tiny.folder, tmp_path / "copy", symlinks=True)
    return Checkout(tmp_path / "copy")
