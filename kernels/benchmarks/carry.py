"""Prepare what a GPU machine without a network needs for a whole training, within 60 MiB.

``python kernels/benchmarks/carry.py --have FILE [--python 3.12] [--out .carried]``, run where
clipdiff is installed. FILE is what ``pip list --format=freeze`` says there; without it the machine
is taken to have torch, triton, numpy, pytest and pytest-benchmark. Writes the wheels that a
training loads and the machine lacks, the demo's embeddings and texts, the weights that the CPU
trains on them, and the commit. ``gpu.py`` finds the folder by ``--carried``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import demo_training

ROOT = demo_training.ROOT
LIMIT_MIB = 60
# What torch, triton, numpy, pytest and pytest-benchmark are and bring.
BARE = [
    "torch", "triton", "numpy", "pytest", "pytest-benchmark", "filelock", "fsspec", "jinja2",
    "markupsafe", "mpmath", "networkx", "setuptools", "sympy", "typing-extensions", "iniconfig",
    "packaging", "pluggy", "pygments", "py-cpuinfo", "py-cpuinfo2",
]  # fmt: skip
OURS = {"clipdiff", "clipdiff-kernels"}  # the source travels
# pip takes a platform literally: a wheel may say any of these.
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (34, 31, 28, 27, 26, 24, 17, 12, 5)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--have", type=Path, help="`pip list --format=freeze` of the machine")
    parser.add_argument("--python", default="3.12", help="the machine's; default: %(default)s")
    parser.add_argument("--torch", default="2.11", help="the machine's; default: %(default)s")
    parser.add_argument("--out", type=Path, default=ROOT / ".carried")
    chosen = parser.parse_args()
    shutil.rmtree(chosen.out, ignore_errors=True)
    (chosen.out / "wheels").mkdir(parents=True)
    (chosen.out / ".gitignore").write_text("*\n")
    has = names_of(chosen.have.read_text().splitlines()) if chosen.have else set(BARE)
    modules = carry_training(demo_training.DEMO, chosen.out)
    wanted = lacking(modules, has, chosen.torch)
    carry_wheels(wanted, chosen.python, chosen.out / "wheels")
    head = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (chosen.out / "commit").write_text(head.stdout)
    report(chosen.out)


def carry_training(cell: demo_training.Cell, out: Path) -> list[str]:
    """The cell's inputs and what the CPU makes of them; return the modules that it took."""
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) / "results"
        modules = demo_training.make(cell, results)
        for path in cell.inputs(results):
            target = out / "results" / path.relative_to(results)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        shutil.copytree(cell.model(results), out / "reference")
    return modules


def names_of(lines: Iterable[str]) -> set[str]:
    """Normalised names of packages, one a line, with or without ``==version`` or ``@ place``."""
    names = (re.split(r"[=@ ]", line.strip(), maxsplit=1)[0] for line in lines)
    return {normalised(name) for name in names if name and not name.startswith("#")}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lacking(modules: Iterable[str], has: set[str], torch: str) -> list[str]:
    """``name==version`` of the packages of ``modules`` that the machine has not.

    Versions are those installed here; torchvision's goes with the machine's torch.
    """
    homes = importlib.metadata.packages_distributions()
    names = {name for module in modules for name in homes.get(module, [])}
    wanted = {name for name in names if normalised(name) not in has | OURS}
    versions = {name: importlib.metadata.version(name) for name in wanted}
    if "torchvision" in versions:
        major, minor = torch.split(".")[:2]
        if major != "2":
            raise SystemExit(f"--torch: got {torch}; only torchvision of torch 2 is known here")
        versions["torchvision"] = f"0.{int(minor) + 15}.*"
    return sorted(f"{name}=={version}" for name, version in versions.items())


def carry_wheels(wanted: Iterable[str], python: str, folder: Path) -> None:
    """Fetch a wheel of each; build it where there is none to fetch."""
    for package in wanted:
        command = ["download", "--only-binary=:all:", "--python-version", python]
        command += ["--implementation", "cp"]
        command += [word for name in PLATFORMS for word in ("--platform", name)]
        if pip(*command, "--dest", str(folder), package) == 0:
            continue
        with tempfile.TemporaryDirectory() as built:
            if pip("wheel", "--no-build-isolation", "--wheel-dir", built, package) != 0:
                raise SystemExit(f"{package}: no wheel for Python {python}, and none can be built")
            (wheel,) = Path(built).glob("*.whl")
            if not wheel.name.endswith("-none-any.whl"):
                raise SystemExit(f"{package} builds to {wheel.name}, for this machine only")
            shutil.move(wheel, folder)


def pip(*arguments: str) -> int:
    """One call of pip for one package without its dependencies."""
    command = [sys.executable, "-m", "pip", *arguments, "--no-deps", "--quiet"]
    command += ["--disable-pip-version-check"]
    environment = os.environ | {"DS_BUILD_OPS": "0"}  # DeepSpeed without its compiled operators
    return subprocess.run(
        command, env=environment, stderr=subprocess.DEVNULL, check=False
    ).returncode


def report(out: Path) -> None:
    """What it takes; exits where that is too much."""
    files = sorted((path.stat().st_size, path) for path in out.rglob("*") if path.is_file())
    for size, path in files:
        sys.stdout.write(f"{size / 2**20:8.2f} MiB  {path.relative_to(out)}\n")
    total = sum(size for size, _ in files) / 2**20
    sys.stdout.write(f"{total:8.2f} MiB  in all, of {LIMIT_MIB}\n")
    if total > LIMIT_MIB:
        raise SystemExit("too much to carry; say with --have what the machine has already")


if __name__ == "__main__":
    main()
