"""What is imported is declared, what is declared is used, and all of it is pinned."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import clipdiff

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HOMES = packages_distributions()
OWN = {"clipdiff", "clipdiff_kernels"}
PACKAGES = ("clipdiff", "kernels/clipdiff_kernels")
NOT_INSTALLED = {
    "vllm": "wants an environment of its own",
    "resvg_py": "draws the demo's sprites again; they are shipped",
}
"""Imports of extras that the pins leave out, and why."""
NOT_IMPORTED = {
    "pygments": "Snakemake's report",
    "snakemake": "the command line, and the rules",
    "tabulate": "pandas' Markdown tables",
    "tensorboard": "torch.utils.tensorboard",
    "torchvision": "open_clip's image transforms",
}
"""Runtime dependencies that no module imports by their name, and what needs them."""


def requirements(entries: list[str]) -> dict[str, Requirement]:
    """Return requirements by name; an extra of this project stands for what it holds."""
    all_of: dict[str, Requirement] = {}
    for entry in entries:
        each = Requirement(entry)
        if each.name != "clipdiff":
            all_of[canonicalize_name(each.name)] = each
        for extra in each.extras if each.name == "clipdiff" else ():
            all_of |= requirements(PROJECT["project"]["optional-dependencies"][extra])
    return all_of


RUNTIME = requirements(PROJECT["project"]["dependencies"])
EXTRAS = {
    name: requirements(entries)
    for name, entries in PROJECT["project"]["optional-dependencies"].items()
}


def imports(folder: str) -> Iterator[tuple[str, str]]:
    """Yield file and top-level name of each import that is neither Python's nor our own."""
    files = sorted((ROOT / folder).rglob("*.py"))
    beside = {
        path.stem for at in ("tests", "kernels/benchmarks") for path in (ROOT / at).rglob("*")
    }
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            for name in {each.partition(".")[0] for each in names}:
                ours = name in OWN or (folder not in PACKAGES and name in beside)
                if not ours and name not in sys.stdlib_module_names:
                    yield str(path.relative_to(ROOT)), name


def distributions(name: str) -> set[str]:
    """Return the names of the packages that a module comes from."""
    installed = HOMES.get(name, [])
    return {canonicalize_name(each) for each in installed} or {canonicalize_name(name)}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("clipdiff", ["sprites", "unclip", "vllm"]),
        ("kernels/clipdiff_kernels", []),
        ("kernels/benchmarks", ["test"]),
        ("tests", ["dev", "test"]),
    ],
)
def test_imports_are_declared(folder: str, extras: list[str]) -> None:
    declared = set(RUNTIME).union(*(EXTRAS[extra] for extra in extras))
    missing = [
        f"{path}: {name}" for path, name in imports(folder) if not distributions(name) & declared
    ]
    assert not missing


def test_dependencies_are_used() -> None:
    names = {name for folder in PACKAGES for _, name in imports(folder)}
    used = set().union(*map(distributions, names))
    assert set(RUNTIME) - used == set(NOT_IMPORTED)


def test_pins_are_of_what_is_declared() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    pinned = {canonicalize_name(name): number for name, number in pins.items()}
    declared = RUNTIME | {name: each for extra in EXTRAS.values() for name, each in extra.items()}
    without = {canonicalize_name(name) for name in NOT_INSTALLED}
    assert set(declared) - set(pinned) == without
    wrong = [
        f"{name}=={pinned[name]}"
        for name, each in declared.items()
        if name in pinned and pinned[name] not in each.specifier
    ]
    assert not wrong


def test_pins_are_what_is_installed() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    assert len(pins) > 100
    assert [name for name, number in pins if version(name) != number] == []


def test_one_version() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "clipdiff.__version__"}
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == clipdiff.__version__
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert newest is not None
    assert newest[1] == clipdiff.__version__


@pytest.mark.parametrize("package", ["clipdiff", "kernels/clipdiff_kernels"])
def test_types_are_shipped(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"][Path(package).name]
