"""How fast a metered server may be asked."""

import threading
import time


class Rate:
    """At most so many units a minute, over all threads; without a limit nothing waits.

    What a unit costs may be known only afterwards (tokens), so spending may go into debt: the next
    one waits until it is paid.
    """

    def __init__(self, per_minute: int | None):
        self.per_second = per_minute / 60 if per_minute else None
        self.lock = threading.Lock()
        self.free_at = time.monotonic()

    def take_turn(self) -> None:
        """Spend one unit and wait for its turn: callers leave one after the other, not together."""
        if self.per_second:
            with self.lock:
                turn = max(self.free_at, time.monotonic())
                self.free_at = turn + 1 / self.per_second
            time.sleep(max(turn - time.monotonic(), 0.0))

    def wait(self) -> None:
        """Wait until there is no debt."""
        while self.per_second:
            with self.lock:
                seconds = self.free_at - time.monotonic()
            if seconds <= 0:
                return
            time.sleep(seconds)

    def spend(self, units: int) -> None:
        """Count units; one call's units delay what comes after it."""
        if self.per_second:
            with self.lock:
                self.free_at = max(self.free_at, time.monotonic()) + units / self.per_second
