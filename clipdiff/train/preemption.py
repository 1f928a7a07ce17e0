"""Leaving in time: before the job's time ends, or at a signal, the loop saves and exits."""

import logging
import math
import os
import signal
import time
from types import FrameType

import torch

from clipdiff.errors import TrainingError
from clipdiff.train.ranks import Ranks
from clipdiff.train.slurm import job_end, requeue

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)  # sbatch --signal=USR1@60 sends the second one
TIME_ENDS = 1000  # beside the signals' numbers
MARGIN = 60.0  # seconds for the last steps and for exiting; saving comes on top


class Preemption:
    """Notes SIGTERM and SIGUSR1 while it is entered, and watches the end of the SLURM job.

    Args:
        ranks: this process among the others: they have to leave after the same step.
        device: where a number is exchanged.

    Attributes:
        saving: seconds that the slowest checkpoint took so far.
    """

    def __init__(self, ranks: Ranks, device: torch.device):
        self.ranks, self.device = ranks, device
        self.signal = 0
        self.saving = 0.0
        end = job_end() if ranks.rank == 0 else None  # the first rank tells the others
        self.end = math.inf if end is None else end

    def __enter__(self) -> "Preemption":
        """Begin to listen.

        Raises:
            TrainingError: the job's time ends so soon that no step would be made before leaving.
        """
        if self._time_ends():
            raise TrainingError(
                f"{self.end - time.time():.0f} s are left of the job's time, and the last "
                f"{MARGIN:.0f} are kept for leaving; raise the runtime of rule train in the profile"
            )
        self.before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number

    def _time_ends(self) -> bool:
        return time.time() > self.end - MARGIN - 2 * self.saving

    def asked(self, synchronise: bool) -> int:
        """Return the signal that came, ``TIME_ENDS``, or 0.

        With several ranks it counts only when all look at once (``synchronise``).
        """
        reason = self.signal or (TIME_ENDS if self._time_ends() else 0)
        if self.ranks.size == 1:
            return reason
        if not synchronise:
            return 0
        signal = torch.tensor([reason], device=self.device)
        return int(self.ranks.all_reduce(signal, "max"))

    def leave(self, reason: int, step: int) -> None:
        """Exit, to be started again.

        At the end of the job's time the first rank has SLURM queue the job again, which costs no
        retry of Snakemake's. A signal's sender knows better whether to go on (a cancelled job must
        not come back), so the exit only reports it.

        Raises:
            SystemExit: always: 128 + the signal's number, as shells report it, or 75, "try again".
        """
        if reason != TIME_ENDS:
            name = signal.Signals(reason).name
            log.warning("%s: saved after step %d; run again to go on from there", name, step)
            raise SystemExit(128 + reason)
        log.warning("the job's time ends: saved after step %d; a new job goes on from there", step)
        if self.ranks.rank == 0:
            requeue()
        raise SystemExit(os.EX_TEMPFAIL)
