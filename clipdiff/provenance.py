"""Where a result comes from: code, versions, machine, job, seed and settings."""

import datetime
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from clipdiff.settings import Section

LIBRARIES = ("clipdiff", "torch", "open_clip_torch", "transformers", "deepspeed", "triton", "numpy")


def settings_hash(settings: Section) -> str:
    """Return a SHA-256 over what decides a stage's numbers, as canonical JSON, 16 hex digits."""
    return values_hash(settings.result())


def values_hash(values: Mapping[str, Any]) -> str:
    """Return the same over settings as a provenance holds them."""
    canonical = json.dumps(values, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def provenance(settings: Section) -> dict[str, Any]:
    """Return what a reader needs to make this result again.

    ``settings`` decide the numbers; ``compute``, what was set of how to compute them, does not.
    Settings name the environment variable of an API key, never the key, so they can be kept.
    """
    return {
        "settings": settings.result(),
        "compute": settings.compute(),
        "settings_hash": settings_hash(settings),
        "git_commit": git_commit(),
        "versions": {name: installed_version(name) for name in LIBRARIES},
        "python": platform.python_version(),
        "host": platform.node(),
        "gpus": gpu_names(),
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


@cache
def git_commit() -> str | None:
    """Return the commit of the checkout, with "-dirty" where files differ; None outside one."""
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            describe, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


@cache
def gpu_names() -> list[str]:
    """Return the names of the visible NVIDIA GPUs; empty without a driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
    return [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]


def installed_version(name: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
