"""What ``clipdiff check --cluster`` looks at: SLURM's commands, the profile's names, a test job.

A test job runs this file as a module (``python -m clipdiff.planning.cluster FILE``) on its node.
"""

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from clipdiff.errors import ConfigError
from clipdiff.provenance import gpu_names

if TYPE_CHECKING:
    from clipdiff.writers.base import Finding

HUB = ("huggingface.co", 443)
SECONDS = 300  # for a test job to start and end
PLACES = ("slurm_partition", "slurm_account", "gres", "gpu")


def cluster_findings(profile: Path, results: Path) -> "Iterator[Finding]":
    """Yield what is right or wrong about running here with a profile, with what to change.

    Args:
        profile: folder of the Snakemake profile, such as ``profiles/slurm``.
        results: folder of the results, which compute nodes must be able to write to.

    Raises:
        ConfigError: the profile can't be read.
    """
    jobs = profile_places(profile / "config.yaml")
    for name in ("sbatch", "squeue", "srun", "sinfo"):
        there = shutil.which(name) is not None
        yield there, f"{name} {'is here' if there else 'is not on PATH; run this on a login node'}"
        if not there:
            return
    controller = _run("scontrol", "ping")
    if controller is None or "DOWN" in controller:
        yield False, f"slurmctld does not answer: {controller or 'scontrol ping failed'}"
        return
    yield from _names(jobs)
    for place in jobs:
        yield from _probe(place, results)


def profile_places(path: Path) -> list[dict[str, Any]]:
    """Return each different set of partition, account and GPUs that a profile sends jobs to.

    Raises:
        ConfigError: the file is missing or no profile.
    """
    try:
        profile = yaml.safe_load(path.read_text())
        base = profile["default-resources"]
        settings = [base, *(base | own for own in profile.get("set-resources", {}).values())]
        places = [{name: each[name] for name in PLACES if each.get(name)} for each in settings]
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path}: no SLURM profile ({error}); expected default-resources and set-resources as "
            "mappings, as in profiles/slurm/config.yaml"
        ) from error
    return [place for row, place in enumerate(places) if place not in places[:row]]


def _names(jobs: list[dict[str, Any]]) -> "Iterator[Finding]":
    partitions = set((_run("sinfo", "-h", "-o", "%R") or "").split())
    for name in dict.fromkeys(job["slurm_partition"] for job in jobs if "slurm_partition" in job):
        yield (
            name in partitions,
            f"partition {name}"
            + ("" if name in partitions else f"; SLURM has: {sorted(partitions)}"),
        )
    user = f"user={getpass.getuser()}"
    accounts = _run("sacctmgr", "-n", "-P", "show", "assoc", user, "format=account")
    for name in dict.fromkeys(job["slurm_account"] for job in jobs if "slurm_account" in job):
        if accounts is None:
            yield True, f"account {name}: not checked, this cluster keeps no accounts"
        else:
            own = sorted(set(accounts.split()))
            fine = name in own
            yield fine, f"account {name}" + ("" if fine else f"; yours are: {own}")


def _probe(place: dict[str, Any], results: Path) -> "Iterator[Finding]":
    """Run a job as the profile would, and look at the node from within."""
    label = ", ".join(f"{name}={value}" for name, value in place.items())
    results.mkdir(parents=True, exist_ok=True)
    mark = results.resolve() / f".probe-{uuid.uuid4().hex}"
    mark.touch()
    options = {"slurm_partition": "--partition", "slurm_account": "--account"}
    options |= {"gres": "--gres", "gpu": "--gpus"}
    command = ["srun", "--ntasks=1", "--time=5", "--quiet", "--immediate=240"]
    command += [f"{options[name]}={value}" for name, value in place.items()]
    try:
        done = subprocess.run(
            [*command, sys.executable, "-m", "clipdiff.planning.cluster", str(mark)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield False, f"test job ({label}): did not end in {SECONDS} s; is the partition full?"
        return
    finally:
        mark.unlink(missing_ok=True)
    try:
        facts = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        yield False, f"test job ({label}): {done.stderr.strip() or 'it printed nothing'}"
        return
    yield from _node_findings(label, place, facts, results)


def _node_findings(
    label: str, place: dict[str, Any], facts: dict[str, Any], results: Path
) -> "Iterator[Finding]":
    node = facts["node"]
    yield True, f"test job ({label}): ran on {node}"
    yield (
        facts["shared"],
        f"{node} {'writes to' if facts['shared'] else 'does not see'} {results.resolve()}"
        + ("" if facts["shared"] else "; put the checkout on a file system that all nodes share"),
    )
    if place.get("gres") or place.get("gpu"):
        gpus = facts["gpus"]
        yield bool(gpus), f"{node}: GPUs {gpus or 'not visible; correct gres, or load the driver'}"
    scratch = facts["scratch_gib"]
    yield scratch > 1, f"{node}: {scratch:.0f} GiB free in {facts['scratch']}"
    reached = "reaches the hub" if facts["hub"] else "has no way to the hub: fetch models first"
    yield (
        facts["hub"] or facts["offline"],
        f"{node} {reached}" + (" (HF_HUB_OFFLINE is set)" if facts["offline"] else ""),
    )


def look_around(mark: Path) -> dict[str, Any]:
    """Return what a job sees of its node; ``mark`` is a file that the login node has made."""
    shared = mark.is_file() and os.access(mark.parent, os.W_OK)
    try:
        with socket.create_connection(HUB, timeout=5):
            hub = True
    except OSError:
        hub = False
    scratch = tempfile.gettempdir()
    return {
        "node": os.environ.get("SLURMD_NODENAME", socket.gethostname()),
        "shared": shared,
        "gpus": gpu_names(),
        "scratch": scratch,
        "scratch_gib": shutil.disk_usage(scratch).free / 2**30,
        "hub": hub,
        "offline": os.environ.get("HF_HUB_OFFLINE") == "1",
    }


def _run(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


if __name__ == "__main__":
    sys.stdout.write(json.dumps(look_around(Path(sys.argv[1]))) + "\n")
