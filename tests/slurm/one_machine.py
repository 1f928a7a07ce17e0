"""A real SLURM on this one machine: ``one_machine.py up`` and ``one_machine.py down``.

Needs root and Debian's packages:
``apt-get install --no-install-recommends slurmctld slurmd slurm-client munge``.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
NODES = ("n1", "n2")
GPUS = 4  # a node; null devices stand in for them
ETC = Path("/etc/slurm")  # the plugin's job steps drop SLURM_CONF: only the built-in place is left
SOCKET = Path("/run/munge/munge.socket.2")
TEMPLATE = Path(__file__).with_name("slurm.conf")


def why_not() -> str:
    """Return why no cluster can run here, or nothing."""
    if os.geteuid() != 0:
        return "a SLURM of our own needs root"
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if lacking:
        return f"no {', '.join(lacking)}: install Debian's slurmctld, slurmd, slurm-client, munge"
    if (ETC / "slurm.conf").exists() and not (ETC / "slurm.conf").is_symlink():
        return "this machine has a SLURM of its own"
    return ""


def wait_for(what: str, true: Callable[[], bool], seconds: float = 60, every: float = 0.2) -> None:
    """Look again and again until something is true.

    Raises:
        TimeoutError: it did not come true.
    """
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(every)


def said(*command: str) -> str:
    """Run a client of SLURM; return what it said, or nothing when it failed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout.strip() if done.returncode == 0 else ""


class Cluster:
    """Controller and two nodes, whose configuration, state, logs and pids lie in one folder."""

    folder = Path("/tmp/clipdiff-slurm")

    def up(self) -> None:
        """Start from nothing and wait until both nodes are idle."""
        self.down()  # what a killed run left
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("state", "spool-n1", "spool-n2", "gpus"):
            (self.folder / name).mkdir(parents=True)
        self._configure()
        self._start_munge()
        subprocess.run(["slurmctld", "-c"], check=True)
        wait_for("slurmctld", lambda: "UP" in said("scontrol", "ping"))
        for node in NODES:
            self.start_node(node)
        wait_for("idle nodes", lambda: self.states() == ["idle", "idle"])

    def _configure(self) -> None:
        gres = ["AutoDetect=off"]
        for node in NODES:
            for gpu in range(GPUS):
                device = self.folder / f"gpus/{node}-{gpu}"
                try:
                    os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
                except PermissionError:  # in a container; slurmd logs an error and takes the file
                    device.touch()
            gres.append(f"NodeName={node} Name=gpu File={self.folder}/gpus/{node}-[0-{GPUS - 1}]")
        (self.folder / "gres.conf").write_text("\n".join(gres) + "\n")
        text = TEMPLATE.read_text().replace("{folder}", str(self.folder))
        (self.folder / "slurm.conf").write_text(text)
        ETC.mkdir(exist_ok=True)
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).unlink(missing_ok=True)
            (ETC / name).symlink_to(self.folder / name)

    def _start_munge(self) -> None:
        if said("munge", "-n"):
            return
        SOCKET.parent.mkdir(mode=0o755, exist_ok=True)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        files = {"key": key, "pid": "munged.pid", "log": "munged.log", "seed": "munged.seed"}
        options = [f"--{kind}-file={self.folder / name}" for kind, name in files.items()]
        subprocess.run(["munged", "--force", *options], check=True, capture_output=True)
        wait_for("munged", lambda: bool(said("munge", "-n")))

    def start_node(self, node: str) -> None:
        """Start a node's daemon."""
        subprocess.run(["slurmd", "-N", node], check=True)

    def kill_node(self, node: str) -> None:
        """Let a node die without a word: its daemon, and every process of its jobs."""
        os.kill(self._pid(f"slurmd-{node}"), signal.SIGKILL)
        sockets = (self.folder / f"spool-{node}").glob(f"{node}_*.*")
        jobs = {path.stem.removeprefix(f"{node}_") for path in sockets}
        stewards = tuple(f"slurmstepd: [{job}." for job in jobs)
        for process in psutil.process_iter(["cmdline"]):
            if stewards and (process.info["cmdline"] or [""])[0].startswith(stewards):
                for each in (process, *process.children(recursive=True)):
                    each.kill()

    def states(self) -> list[str]:
        """Return the nodes' states."""
        return said("sinfo", "-h", "-N", "-p", "cpu", "-o", "%T").split()

    def down(self) -> None:
        """End everything that ``up`` started, jobs first, and remove the configuration."""
        if self._pid("slurmctld"):
            said("scancel", "--user=root")
            wait_for("jobs to end", lambda: not said("squeue", "-h"), seconds=30)
        for name in ("slurmd-n1", "slurmd-n2", "slurmctld", "munged"):
            self._stop(name)
        for name in ("slurm.conf", "gres.conf"):
            if (ETC / name).is_symlink() and (ETC / name).readlink() == self.folder / name:
                (ETC / name).unlink()

    def _stop(self, name: str) -> None:
        pid = self._pid(name)
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            wait_for(f"{name} to end", lambda: not alive(pid), seconds=30)

    def _pid(self, name: str) -> int | None:
        """Return the process of a daemon, if it lives."""
        file = self.folder / f"{name}.pid"
        pid = int(file.read_text()) if file.is_file() else None
        return pid if pid and alive(pid) else None


def alive(pid: int) -> bool:
    """True while a process runs; a zombie does not."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


if __name__ == "__main__":
    getattr(Cluster(), sys.argv[1])()
