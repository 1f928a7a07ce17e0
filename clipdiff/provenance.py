"""Where a result comes from: code, versions, machine, job, seed and settings."""

import datetime
import hashlib
import json
import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clipdiff.errors import DataError
from clipdiff.settings.base import Section, Values

LIBRARIES = ("clipdiff", "torch", "open_clip_torch", "transformers", "deepspeed", "triton", "numpy")


class LossKernels(BaseModel):
    """What computes a training's loss, as ``clipdiff_kernels.choose_backend`` has it."""

    model_config = ConfigDict(frozen=True)

    backend: str
    precision: str
    reason: str

    def __str__(self) -> str:
        return f"{self.backend}, products in {self.precision} ({self.reason})"


class Provenance(BaseModel):
    """What a reader needs to make a result again; it lies beside the result, as JSON.

    ``settings`` decide the numbers and are hashed; ``compute`` says how they were computed. Both
    name the environment variable of an API key, never the key, so they can be kept.
    ``loss_kernels``, of a training only, are those of its first batch.
    """

    model_config = ConfigDict(frozen=True)

    settings: Values
    settings_hash: str
    compute: Values = Field(default_factory=dict)
    git_commit: str | None
    versions: dict[str, str | None]
    python: str
    host: str
    gpus: list[str] = Field(default_factory=list)
    slurm_job_id: str | None = None
    date: str
    loss_kernels: LossKernels | None = Field(None, exclude_if=lambda kernels: kernels is None)

    @classmethod
    def of(cls, settings: Section, loss_kernels: LossKernels | None = None) -> Self:
        """Return the provenance of what this process makes with some settings, now."""
        return cls(
            settings=settings.result(),
            settings_hash=settings_hash(settings),
            compute=settings.compute(),
            git_commit=git_commit(),
            versions={name: installed_version(name) for name in LIBRARIES},
            python=platform.python_version(),
            host=platform.node(),
            gpus=gpu_names(),
            slurm_job_id=os.environ.get("SLURM_JOB_ID"),
            date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            loss_kernels=loss_kernels,
        )

    @classmethod
    def parse(cls, values: Any, source: Path | str) -> Self:
        """Read what a file holds.

        Args:
            values: as its JSON says.
            source: the file, for the error.

        Raises:
            DataError: it is not a provenance (names what is missing or wrong).
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            (fault, *_) = error.errors()
            key = ".".join(map(str, fault["loc"]))
            raise DataError(
                f"{source}: not a provenance ({key}: {fault['msg']}); make it again"
            ) from error

    @property
    def hash_now(self) -> str:
        """The hash of the settings as they stand; another one where the file was edited."""
        return _hash(self.settings)


def provenance(settings: Section, loss_kernels: LossKernels | None = None) -> Values:
    """Return the provenance of what this process makes with some settings, as JSON values."""
    return Provenance.of(settings, loss_kernels).model_dump(mode="json")


def settings_hash(settings: Section) -> str:
    """Return a SHA-256 over the canonical JSON of what decides numbers, 16 hex digits."""
    return _hash(settings.result())


def _hash(values: Values) -> str:
    canonical = json.dumps(values, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


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
