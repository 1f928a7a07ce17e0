"""Shared by all tests: no hub, one thread, and the project's root as the current directory."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("DS_ACCELERATOR", "cpu")

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths of config.yaml (``clipdiff/demo/assets``) start at the root."""
    monkeypatch.chdir(ROOT)
