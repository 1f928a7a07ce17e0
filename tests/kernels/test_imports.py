"""The kernels stand alone: package, tests and benchmarks import nothing of clipdiff's."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HAS = {"clipdiff_kernels", "torch", "triton"}
ALLOWED = {
    "kernels/clipdiff_kernels": HAS,
    "kernels/benchmarks": HAS | {"numpy", "pytest", "matplotlib"},  # its figure
    "tests/kernels": HAS | {"numpy", "pytest", "hypothesis"},
}


def imported(path: Path) -> Iterator[str]:
    """Yield the top packages that a file imports, at whatever level."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("folder", ALLOWED)
def test_nothing_else_is_imported(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    beside = {file.stem for file in files}
    names = {(name, file.name) for file in files for name in imported(file)}
    allowed = ALLOWED[folder] | beside | set(sys.stdlib_module_names)
    assert {"torch"} < {name for name, _ in names}
    assert not {(name, file) for name, file in names if name not in allowed}
