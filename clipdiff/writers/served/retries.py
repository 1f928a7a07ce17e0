"""Failures of a server: which are asked again, after how long, and what the others mean."""

import email.utils
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import openai
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

MAX_RETRIES = 8
RETRY_SECONDS = 0.5
LONGEST_WAIT = 60.0  # seconds; a server that asks for more is asked again then

Reply = TypeVar("Reply")


class BadReplyError(Exception):
    """A reply of status 200 that can't be read."""


class TooLongError(Exception):
    """The prompt has more tokens than the model can look at."""


FAILURES = (openai.OpenAIError, BadReplyError)
"""What :func:`ask_again` raises when it gives up."""


@contextmanager
def valid_reply() -> Iterator[None]:
    """Turn what the client says of prompts that are too long, and of broken replies.

    Raises:
        TooLongError: the server refuses the prompt for its length.
        BadReplyError: the reply is not JSON.
        openai.OpenAIError: anything else that failed.
    """
    try:
        yield
    except openai.BadRequestError as error:
        if "context" not in str(error) and "maximum" not in str(error):
            raise
        raise TooLongError from error
    except (openai.APIResponseValidationError, ValueError) as error:
        raise BadReplyError(f"the reply is no valid JSON: {type(error).__name__}") from error


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


def why_for_good(error: Exception, text: str, key_env: str) -> str:
    """Say why a request failed for good, and what to do.

    Args:
        error: what :func:`ask_again` gave up with.
        text: what it says, without the key.
        key_env: the variable that holds the key.
    """
    if quota_is_used_up(error):
        return (
            f"says that the quota is used up: {text}; add credit, or lower data.pairs. Finished "
            "answers are kept: run again to go on."
        )
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return (
            f"refuses the key: {text}; set the environment variable {key_env} to a valid one. "
            "Finished answers are kept."
        )
    if isinstance(error, openai.NotFoundError | openai.BadRequestError):
        return f"refuses the request: {text}; check model, endpoint and base_url"
    return (
        f"failed {MAX_RETRIES + 1} times in a row: {text}. Finished answers are kept: run again to "
        "go on."
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
