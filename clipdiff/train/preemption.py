"""Leaving in time: a scheduler's signal lets the loop save and exit, to be started again."""

import logging
import signal
from types import FrameType

import torch

from clipdiff.losses.ranks import Ranks

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)  # sbatch --signal=USR1@60 sends the second one


class Preemption:
    """Notes SIGTERM and SIGUSR1 while it is entered.

    Args:
        ranks: this process among the others: they have to leave after the same step.
        device: where a number is exchanged.
    """

    def __init__(self, ranks: Ranks, device: torch.device):
        self.ranks, self.device = ranks, device
        self.signal = 0

    def __enter__(self) -> "Preemption":
        self.before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number

    def asked(self, synchronise: bool) -> int:
        """Return the signal that came, or 0.

        With several ranks it counts only when all look at once (``synchronise``).
        """
        if self.ranks.size == 1:
            return self.signal
        if not synchronise:
            return 0
        told = torch.tensor([self.signal], device=self.device)
        return int(self.ranks.all_reduce(told, "max"))

    @staticmethod
    def leave(number: int, step: int) -> None:
        """Exit as shells report a signal, 128 + its number.

        Raises:
            SystemExit: always.
        """
        name = signal.Signals(number).name
        log.warning("%s: saved after step %d; run again to go on from there", name, step)
        raise SystemExit(128 + number)
