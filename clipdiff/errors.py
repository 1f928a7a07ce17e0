"""Errors a user can cause: each says what, where, what was expected, and what to do."""

import difflib
from collections.abc import Iterable


class ClipdiffError(Exception):
    """Base of every error that is the input's fault; the CLI prints it without a traceback."""


class ConfigError(ClipdiffError):
    """The configuration is wrong; the message lists every fault with its dotted key."""


class DataError(ClipdiffError):
    """A data file, image, caption or id is missing, unreadable or contradictory."""


class ModelError(ClipdiffError):
    """A model folder or name can't be loaded, or does not fit its use."""


class GenerationError(ClipdiffError):
    """An LLM or its server can't answer."""


class TrainingError(ClipdiffError):
    """Training can't go on, such as a loss that is not finite."""


def did_you_mean(got: str, allowed: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the nearest allowed name, or nothing."""
    near = difflib.get_close_matches(got, list(allowed), n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""
