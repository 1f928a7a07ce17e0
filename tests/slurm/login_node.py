"""Folders that look like fresh clones on the cluster's login node, and what a user does there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from one_machine import said, wait_for
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LINKED = (
    "Snakefile", "config.yaml", "config", "rules", "profiles", "slurm", "clipdiff", "kernels",
    "envs",
)  # fmt: skip
QUICK = [  # the profile's own values are meant for queues of hours
    "--slurm-init-seconds-before-status-checks=1", "--latency-wait=10", "--jobs=4",
]  # fmt: skip
CELL = "bert/contrastive/seed0"
WEIGHTS = f"results/models/{CELL}/open_clip_model.safetensors"


class Login:
    """A checkout with results of its own, and what a user does in it."""

    def __init__(self, folder: Path, *presets: Path):
        self.folder, self.presets = folder, presets
        self.started: list[subprocess.Popen] = []
        self.environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}

    @classmethod
    def clone(cls, folder: Path, *presets: Path) -> "Login":
        """Make one with nothing in it yet."""
        folder.mkdir(exist_ok=True)
        for name in LINKED:
            (folder / name).symlink_to(ROOT / name)
        return cls(folder, *presets)

    def command(self, *arguments: str, profile: str = "slurm") -> list[str | Path]:
        """Return Snakemake's command line."""
        quick = [] if profile == "profiles/local" else QUICK
        files = ["--configfile", "config.yaml", "config/tiny.yaml", *self.presets]
        return [BIN / "snakemake", "--profile", profile, *quick, *arguments, *files]

    def start(self, *arguments: str, profile: str = "slurm") -> subprocess.Popen:
        """Start Snakemake on the cluster; what it says is appended to a file."""
        with open(self.folder / "said", "a") as out:
            # a shell's background jobs ignore Ctrl-C, and so would all that the tests start in one
            command = ["env", "--default-signal=INT", *self.command(*arguments, profile=profile)]
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment,
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        return process

    def finish(self, process: subprocess.Popen) -> str:
        """Wait for a started Snakemake's success; return what it said."""
        assert process.wait(timeout=600) == 0, self.said()[-6000:]
        return self.said()

    def run(self, *arguments: str, profile: str = "slurm") -> str:
        """Run Snakemake to its success; return what it said."""
        command = self.command(*arguments, profile=profile)
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout + done.stderr

    def said(self) -> str:
        """Return what started Snakemakes said."""
        return (self.folder / "said").read_text()

    def jobs(self, form: str) -> list[str]:
        """Return one line of squeue's for every job of the last Snakemake."""
        run = re.findall(r"SLURM run ID: (\S+)", self.said())[-1]
        return said("squeue", "--noheader", "--states=all", f"--name={run}", f"-o{form}").split()

    def train_log(self) -> str:
        """Return what the training said last."""
        return (self.folder / f"logs/train/{CELL}.log").read_text()

    def wait_for_checkpoint(self) -> str:
        """Wait until the training has saved; return its job."""
        saved = self.folder / "results/models/.checkpoints" / CELL
        wait_for("a checkpoint", lambda: any(saved.glob("step*/state.json")), 120)
        return said("squeue", "--noheader", "--states=RUNNING", "--format=%i")

    def same_weights(self, other: "Login") -> bool:
        """True if both trained the cell to the same numbers, to the last bit."""
        one, two = (load_file(login.folder / WEIGHTS) for login in (self, other))
        return one.keys() == two.keys() and all(one[name].equal(two[name]) for name in one)

    def half_written(self) -> list[Path]:
        """Return what should not be there: temporary files."""
        return list((self.folder / "results").rglob("*.tmp"))
