"""Shared by all tests: no hub, one thread, the project's root, and one finished tiny grid."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from checkout import Checkout

from clipdiff.files import alone

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("DS_ACCELERATOR", "cpu")

ROOT = Path(__file__).parents[1]
ONE_WORKER = ("tests/slurm/",)
"""Folders whose tests one worker takes, one after another: a machine has one SLURM."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker of ``-n`` its next file when it has ended one, as fixtures are a file's.

    (The marks of ``--dist loadgroup`` do nothing in pytest 9.2 with pytest-xdist 3.8.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next(
                (each for each in ONE_WORKER if nodeid.startswith(each)), nodeid.partition("::")[0]
            )

    config.option.loadscopereorder = False  # by number of tests: the slow come first instead
    return ByFile(config, log) if config.getvalue("dist") == "load" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let several workers begin with what takes longest, so that they end together."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (not item.nodeid.startswith(ONE_WORKER), item.path not in slow))


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
