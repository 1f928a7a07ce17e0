"""Showing how far a long loop has come: a bar on a terminal, one line a minute in a log file."""

import logging
import sys
import time
from typing import Self

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 60.0


class Progress:
    """Progress of ``total`` units; a context manager.

    Args:
        what: what is counted, such as ``training steps``.
        total: how many there are.
        done: how many were done before this process.
        silent: nothing is shown (for all ranks but the first).
    """

    def __init__(self, what: str, total: int, done: int = 0, silent: bool = False):
        self.what, self.total, self.done, self.silent = what, total, done, silent
        self.began = self.newest_line = time.monotonic()
        self.first = done
        self.bar = None
        if not silent and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress as Bar

            self.bar = Bar(console=Console(stderr=True))
            self.task = self.bar.add_task(what, total=total, completed=done)

    def __enter__(self) -> Self:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def advance(self, units: int = 1, note: str = "") -> None:
        """Count ``units`` more; ``note`` is shown beside them."""
        self.done += units
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, description=f"{self.what} {note}")
            return
        now = time.monotonic()
        if not self.silent and now - self.newest_line >= SECONDS_BETWEEN_LINES:
            self.newest_line = now
            rate = (self.done - self.first) / (now - self.began)
            log.info("%s: %d of %d, %.1f a second %s", self.what, self.done, self.total, rate, note)
