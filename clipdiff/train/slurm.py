"""What SLURM knows of this process's job: its nodes, when it ends, and how to queue it again."""

import logging
import os
import subprocess
from dataclasses import dataclass

from clipdiff.errors import ConfigError

log = logging.getLogger(__name__)

PORTS = range(15000, 25000)  # below the ephemeral ones; a step takes one


@dataclass(frozen=True)
class Nodes:
    """Nodes that train together, one ``clipdiff train`` on each.

    ``address`` and ``port`` are where the first one listens.
    """

    count: int
    index: int
    address: str
    port: int

    @classmethod
    def of_step(cls) -> "Nodes | None":
        """Return the nodes of the ``srun`` that started this process; None for one or no node.

        Raises:
            ConfigError: srun started several processes a node.
        """
        count = int(os.environ.get("SLURM_STEP_NUM_NODES", "1"))
        if count == 1:
            return None
        tasks = int(os.environ["SLURM_STEP_NUM_TASKS"])
        if tasks != count:
            raise ConfigError(
                f"srun started {tasks} processes on {count} nodes; start one a node "
                f"(srun --nodes={count} --ntasks={count}), it starts its node's ranks itself"
            )
        job, step = int(os.environ["SLURM_JOB_ID"]), int(os.environ["SLURM_STEP_ID"])
        return cls(
            count,
            int(os.environ["SLURM_NODEID"]),
            # where srun was called: the job's first node, which runs the batch script
            os.environ["SLURM_LAUNCH_NODE_IPADDR"],
            PORTS[(job + step) % len(PORTS)],
        )

    def ranks_here(self, ranks: int) -> int:
        """Return the ranks of each node.

        Raises:
            ConfigError: they don't divide by the nodes.
        """
        if ranks % self.count:
            raise ConfigError(
                f"train.ranks: got {ranks} on {self.count} nodes, expected a multiple of "
                f"{self.count}; change it, or the nodes of rule train in profiles/slurm"
            )
        return ranks // self.count


def job_end() -> float | None:
    """Return when SLURM ends this job, in seconds since 1970; None outside a job."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return None
    said = _client("squeue", "--noheader", "--jobs", job, "--format", "%e")
    return float(said) if said and said.isdecimal() else None


def requeue() -> bool:
    """Queue this job again, as it is; SLURM ends its processes. False if it does not allow that."""
    return _client("scontrol", "requeue", os.environ["SLURM_JOB_ID"]) is not None


def _client(*command: str) -> str | None:
    """Return what one of SLURM's programs said, times as seconds; None if it failed."""
    clock = {**os.environ, "SLURM_TIME_FORMAT": "%s"}
    try:
        done = subprocess.run(
            command, env=clock, capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("%s: %s", " ".join(command), getattr(error, "stderr", None) or error)
        return None
    return done.stdout.strip()
