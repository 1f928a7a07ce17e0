"""Asking a server that may be busy, broken or metered: what to ask again, and how fast to ask."""

import email.utils
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import openai
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

MAX_RETRIES = 8
RETRY_SECONDS = 0.5
LONGEST_WAIT = 60.0  # seconds; a server that asks for more is asked again then

Reply = TypeVar("Reply")


class BadReplyError(Exception):
    """A reply with status 200 that is none."""


def ask_again(request: Callable[[], Reply]) -> Reply:
    """Make a request until it is answered, ``MAX_RETRIES`` times again at most.

    Waits as long as the server says (Retry-After), else for a random time that grows.

    Raises:
        openai.OpenAIError, BadReplyError: it failed for good, or too often.
    """
    retrying = Retrying(
        retry=retry_if_exception(_passes),
        wait=_wait,
        stop=stop_after_attempt(MAX_RETRIES + 1),
        reraise=True,
    )
    return retrying(request)


def quota_is_used_up(error: BaseException) -> bool:
    """Return whether no waiting helps: the account has no money left."""
    return isinstance(error, openai.RateLimitError) and "insufficient_quota" in (
        error.code,
        error.type,
    )


def _passes(error: BaseException) -> bool:
    if isinstance(error, openai.APIStatusError):
        return (error.status_code >= 500 or error.status_code in (408, 409, 429)) and not (
            quota_is_used_up(error)
        )
    return isinstance(error, openai.APIConnectionError | BadReplyError)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, openai.APIStatusError):
        asked = seconds_asked(error.response.headers)
        if asked is not None:
            return min(max(asked, 0.0), LONGEST_WAIT)
    return wait_random_exponential(RETRY_SECONDS, max=LONGEST_WAIT)(state)


def seconds_asked(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After: milliseconds (``retry-after-ms``), seconds, or a date; None without."""
    try:
        if "retry-after-ms" in headers:
            return float(headers["retry-after-ms"]) / 1000
        if "retry-after" in headers:
            return float(headers["retry-after"])
    except ValueError:
        when = email.utils.parsedate_tz(headers.get("retry-after", ""))
        return email.utils.mktime_tz(when) - time.time() if when else None
    return None


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
