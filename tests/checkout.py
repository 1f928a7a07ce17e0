"""Folders that look like fresh clones, with results of their own, and the workflow run in them."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
LINKED = (
    "Snakefile", "config.yaml", "config", "rules", "profiles", "slurm", "clipdiff", "kernels",
    "envs",
)  # fmt: skip
TINY = "config/tiny.yaml"
LOCAL = ("--profile", "profiles/local")


class Checkout:
    """A checkout of its own.

    Args:
        folder: where; made if it is not there.
        presets: merged over the tiny preset in every run.
    """

    def __init__(self, folder: Path, *presets: Path):
        self.folder, self.presets = folder, presets
        self.results = folder / "results"
        self.environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        folder.mkdir(exist_ok=True)
        for name in LINKED:
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(ROOT / name)

    def arguments(self, *arguments: str | Path, presets: tuple[Path, ...] = ()) -> list[str]:
        """Return what Snakemake is told, but for its profile."""
        files = ["--configfile", "config.yaml", TINY, *self.presets, *presets]
        return [str(each) for each in (*arguments, *files)]

    def snakemake(self, *arguments: str | Path, presets: tuple[Path, ...] = ()) -> str:
        """Run the workflow to its success; return what it said."""
        command = [BIN / "snakemake", *LOCAL, *self.arguments(*arguments, presets=presets)]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-6000:]
        return said

    def plan(self, *arguments: str | Path, presets: tuple[Path, ...] = ()) -> dict[str, int]:
        """Return the jobs that the workflow would run, by rule; nothing if there are none."""
        own = self.arguments(*arguments, presets=presets)
        return planned(dry_run(self.folder, *LOCAL, *own))


def dry_run(folder: Path, *arguments: str | Path, fails: bool = False) -> str:
    """Dry-run Snakemake in this process, which saves its start; return what it said.

    Args:
        folder: where it is called.
        arguments: of its command line.
        fails: it has to end with an error, and not without one.
    """
    from snakemake.cli import main

    told = ["--quiet", "rules", "--dry-run", *map(str, arguments)]
    said = io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        pytest.raises(SystemExit) as end,
    ):
        main(told)
    assert bool(end.value.code) == fails, said.getvalue()[-3000:]
    return said.getvalue()


def planned(said: str) -> dict[str, int]:
    """Return the jobs that Snakemake says it would run, by rule; nothing if there are none."""
    lines = said.splitlines()
    starts = [place for place, line in enumerate(lines) if line.split() == ["job", "count"]]
    counts: dict[str, int] = {}
    for line in lines[starts[0] + 2 :] if starts else []:
        words = line.split()
        if len(words) != 2 or words[0] == "total":
            break
        counts[words[0]] = int(words[1])
    return counts
