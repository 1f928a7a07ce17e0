"""Style, types, imports and the workflow's own linter hold on every file."""

import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
LONGEST = {"clipdiff": 300, "kernels": 300, "rules": 300, "tests": 400}
"""Lines of a file. One that holds one whole idea may be longer, and is named below."""
ONE_IDEA: dict[str, str] = {}
LOGIN_NODE = """
import sys

import clipdiff.cli, clipdiff.config
from clipdiff.datasets.base import DATASETS
from clipdiff.losses.base import LOSSES
from clipdiff.tasks.base import TASKS
from clipdiff.writers.base import WRITERS

for registry in (DATASETS, LOSSES, TASKS, WRITERS):
    for kind in registry.kinds:
        registry.of(kind)
heavy = {"deepspeed", "open_clip", "openai", "sklearn", "torch", "transformers", "triton"}
print(*sorted(heavy & set(sys.modules)))
"""


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["lint-imports"],
        ["snakefmt", "--check", "Snakefile", "rules"],
        pytest.param(["mypy"], marks=pytest.mark.slow),
        ["snakemake", "--lint"],
    ],
    ids=" ".join,
)
def test_linter(command: list[str]) -> None:
    done = subprocess.run([BIN / command[0], *command[1:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_login_node_imports_nothing_heavy() -> None:
    """The command line, the configuration and every entry's settings."""
    done = subprocess.run([sys.executable, "-c", LOGIN_NODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_files_stay_short() -> None:
    names = subprocess.run(["git", "ls-files", "*.py", "*.smk"], capture_output=True, text=True)
    lengths = {name: len(Path(name).read_text().splitlines()) for name in names.stdout.split()}
    assert lengths, "no checkout of git"
    long = {name for name, lines in lengths.items() if lines > LONGEST[name.partition("/")[0]]}
    assert long == set(ONE_IDEA)
