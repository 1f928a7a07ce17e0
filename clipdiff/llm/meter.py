"""Progress of one LLM: rows, as every long loop shows them, and tokens a second."""

import logging
import time

from clipdiff.progress import Progress

log = logging.getLogger(__name__)


class Meter(Progress):
    """Counts rows and tokens written; use as a context manager."""

    def __init__(self, name: str, total: int, done: int):
        """Begin with ``done`` of ``total`` rows already written."""
        super().__init__(name, total, done)
        self.tokens = 0

    def __exit__(self, *failure: object) -> None:
        super().__exit__(*failure)
        if self.done > self.first:
            log.info("%s: %d of %d rows, %s", self.what, self.done, self.total, self.rate())

    def add(self, rows: int, tokens: int) -> None:
        """Count a finished shard."""
        self.tokens += tokens
        self.advance(rows, self.rate(rows))

    def rate(self, more: int = 0) -> str:
        """Say how fast it goes with ``more`` rows, not counting those of earlier runs."""
        seconds = max(time.monotonic() - self.began, 1e-9)
        rows, tokens = (self.done + more - self.first) / seconds, self.tokens / seconds
        return f"{rows:.1f} rows/s, {tokens:.0f} tokens/s"
