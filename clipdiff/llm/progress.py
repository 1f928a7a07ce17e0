"""Progress: a bar on a terminal, one line a minute in a log."""

import logging
import sys
import time

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

LINE_SECONDS = 60.0


class Meter:
    """Counts rows and tokens written; use as a context manager."""

    def __init__(self, name: str, total: int, done: int):
        """Begin with ``done`` rows of ``total`` there already."""
        self.name, self.total, self.done, self.before = name, total, done, done
        self.tokens, self.began = 0, time.monotonic()
        self.last_line = self.began
        self.bar = None
        if sys.stderr.isatty():
            columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
            console = Console(stderr=True)
            self.bar = Progress(*columns, TextColumn("{task.fields[rate]}"), console=console)
            self.task = self.bar.add_task(name, total=total, completed=done, rate="")

    def __enter__(self) -> "Meter":
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *failure: object) -> None:
        if self.bar:
            self.bar.stop()
        if self.done > self.before:
            log.info("%s: %d of %d rows, %s", self.name, self.done, self.total, self.rate())

    def add(self, rows: int, tokens: int) -> None:
        """Count a finished shard."""
        self.done += rows
        self.tokens += tokens
        if self.bar:
            self.bar.update(self.task, completed=self.done, rate=self.rate())
        elif time.monotonic() - self.last_line > LINE_SECONDS:
            self.last_line = time.monotonic()
            log.info("%s: %d of %d rows, %s", self.name, self.done, self.total, self.rate())

    def rate(self) -> str:
        """Say how fast it goes, not counting rows that were there already."""
        seconds = max(time.monotonic() - self.began, 1e-9)
        rows, tokens = (self.done - self.before) / seconds, self.tokens / seconds
        return f"{rows:.1f} rows/s, {tokens:.0f} tokens/s"
