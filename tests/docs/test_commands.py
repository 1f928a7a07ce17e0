"""Every command in the documentation is run, planned, or left out for a reason that is told."""

import contextlib
import io
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from checkout import Checkout
from documentation import ROOT, SHELL, Block, blocks, spans
from typer.core import TyperGroup
from typer.testing import CliRunner

from clipdiff.cli import app

GROUP: Any = typer.main.get_command(app)
NEEDS_RESULTS = ("export", "trace", "prompt")
NOT_RUN = {
    r"git clone ": "fetches the repository",
    r"cd clipdiff$": "the clone's folder: the test is in one",
    r"python3 -m venv ": "sets up an environment: `make setup` does so before these tests",
    r"\. \.venv/bin/activate": "likewise",
    r"pip install ": "downloads packages",
    r"nano ": "an editor",
    r"clipdiff check --cluster": "submits test jobs: tests/slurm runs it on a cluster",
    r"tmux new 'snakemake ": "asks for a terminal; what it runs is planned in the line before",
    r"(\w+=\S+ )?pytest ": "tests and benchmarks are no part of a test; their paths are looked at",
}
"""Commands by how they begin, and why they are not run here."""
EXPECTED_FAULTS = {
    "clipdiff data check --config config.yaml --config config/paper.yaml": "data sets are not here",
}
"""Commands that end with 1 where nothing was downloaded."""
SHELL_BLOCKS = blocks(*SHELL)


def words_of(command: list[str]) -> str:
    return " ".join(f"'{word}'" if " " in word else word for word in command)


def left_out(command: list[str]) -> list[str]:
    return [start for start in NOT_RUN if re.match(start, words_of(command))]


def options_of(command: Any) -> set[str]:
    options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    return {name for name in options if name.startswith("-")} | {"--help"}


def check_options(words: list[str]) -> None:
    """Look up verb and options of a command line that begins with ``clipdiff``."""
    command: Any = GROUP
    for word in words[1:]:
        if word.startswith("-"):
            name = word.partition("=")[0]
            assert name in options_of(command), f"{words_of(words)}: no option {name}"
        elif isinstance(command, TyperGroup):
            assert word in command.commands, f"{words_of(words)}: no verb {word}"
            command = command.commands[word]


def run_clipdiff(words: list[str]) -> None:
    done = CliRunner().invoke(app, words[1:])
    status = 1 if words_of(words) in EXPECTED_FAULTS else 0
    assert done.exit_code == status, f"{done.output[-3000:]}\n{done.exception!r}"


def plan_snakemake(words: list[str]) -> None:
    """Dry-run in this process, which saves its start."""
    from snakemake.cli import main

    said = io.StringIO()
    with (
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        pytest.raises(SystemExit) as end,
    ):
        main([*words[1:], "--dry-run", "--quiet", "all"])
    assert end.value.code == 0, said.getvalue()[-3000:]


def plan_make(words: list[str]) -> None:
    done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "clipdiff": run_clipdiff,
    "snakemake": plan_snakemake,
    "make": plan_make,
}


def run_block(block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a block's commands in turn, from a folder that looks like a fresh clone."""
    (folder / "mine.yaml").write_text("seeds: [0]\n")
    monkeypatch.chdir(folder)
    for words in block.commands():
        if left_out(words):
            continue
        if words[0] == "cd":
            monkeypatch.chdir(words[1])
        else:
            assert words[0] in PROGRAMS, f"{block}: what is `{words_of(words)}`?"
            PROGRAMS[words[0]](words)


def takes_results(block: Block) -> bool:
    return any(words[0] == "clipdiff" and words[1] in NEEDS_RESULTS for words in block.commands())


@pytest.mark.parametrize("block", [b for b in SHELL_BLOCKS if not takes_results(b)], ids=str)
def test_commands_run_in_a_fresh_clone(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_block(block, Checkout(tmp_path / "clone").folder, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("block", [b for b in SHELL_BLOCKS if takes_results(b)], ids=str)
def test_commands_run_on_results(
    block: Block, tiny_copy: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_block(block, tiny_copy.folder, monkeypatch)


@pytest.mark.parametrize("page_span", list(spans()), ids=lambda each: f"{each[0].name}:{each[1]}")
def test_named_commands_have_their_options(page_span: tuple[Path, str]) -> None:
    """Verbs and options in running text; `train --cell ...` stands for `clipdiff train --cell`."""
    words = page_span[1].split()
    if words[0] in GROUP.commands and any(word.startswith("--") for word in words):
        words = ["clipdiff", *words]
    if words[0] == "clipdiff" and len(words) > 1:
        check_options(words)


@pytest.mark.parametrize("block", SHELL_BLOCKS, ids=str)
def test_commands_have_their_options(block: Block) -> None:
    for words in block.commands():
        if words[0] == "clipdiff":
            check_options(words)


def test_reasons_are_needed() -> None:
    commands = [words for block in SHELL_BLOCKS for words in block.commands()]
    met = {start for words in commands for start in left_out(words)}
    assert met == set(NOT_RUN)
    assert {words_of(words) for words in commands} >= set(EXPECTED_FAULTS)


def test_paths_of_tests_that_are_named_are_there() -> None:
    lines = [words_of(words) for block in SHELL_BLOCKS for words in block.commands()]
    lines += [span for _, span in spans()]
    paths = {
        word
        for line in lines
        if re.match(r"(\w+=\S+ )?pytest ", line)
        for word in line.split()
        if re.match(r"(tests|kernels)\b", word)
    }
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_an_unknown_command_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = Block(ROOT / "README.md", 1, "bash", "make setup && frobnicate --all  # new\n")
    with pytest.raises(AssertionError, match="frobnicate"):
        run_block(block, tmp_path, monkeypatch)
    for line in ("clipdiff trian", "clipdiff check --clutser x"):
        with pytest.raises(AssertionError, match=r"no (verb|option)"):
            check_options(line.split())
