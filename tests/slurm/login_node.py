"""Folders that look like fresh clones on the cluster's login node, and what a user does there."""

import re
import subprocess
from pathlib import Path

import psutil
from checkout import BIN, Checkout
from one_machine import said, wait_for
from safetensors.torch import load_file

QUICK = [  # the profile's own values are meant for queues of hours
    "--slurm-init-seconds-before-status-checks=1", "--latency-wait=10", "--jobs=4",
]  # fmt: skip
CELL = "bert/contrastive/seed0"
WEIGHTS = f"results/models/{CELL}/open_clip_model.safetensors"


class Login(Checkout):
    """A checkout of its own, and what a user does in it.

    Args:
        folder: where; made if it is not there.
        presets: merged over the tiny preset in every run.
    """

    def __init__(self, folder: Path, *presets: Path):
        super().__init__(folder, *presets)
        self.started: list[subprocess.Popen] = []

    def start(self, *arguments: str, profile: str = "slurm") -> subprocess.Popen:
        """Start Snakemake on the cluster; what it says is appended to a file."""
        # a shell's background jobs ignore Ctrl-C, and so would all that the tests start in one
        command = ["env", "--default-signal=INT", BIN / "snakemake", "--profile", profile]
        command += self.arguments(*QUICK, *arguments)
        with open(self.folder / "said", "a") as out:
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

    def said(self) -> str:
        """Return what started Snakemakes said."""
        return (self.folder / "said").read_text()

    def jobs(self, form: str) -> list[str]:
        """Return one line of squeue's for every job of the last Snakemake."""
        run = re.findall(r"SLURM run ID: (\S+)", self.said())[-1]
        return said("squeue", "--noheader", "--states=all", f"--name={run}", f"-o{form}").split()

    def processes(self, verb: str) -> list[psutil.Process]:
        """Return the ``clipdiff VERB`` processes that run here, and no other test's."""
        running = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            words = process.info["cmdline"] or []
            here = process.info["cwd"] == str(self.folder.resolve())
            if here and len(words) > 2 and words[1].endswith("clipdiff") and words[2] == verb:
                running.append(process)
        return running

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
