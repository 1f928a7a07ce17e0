"""Which measures an evaluation has, according to its settings."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from clipdiff.errors import ConfigError
from clipdiff.tasks.base import TASKS, Measure


def measures_in(settings: Mapping[str, Any]) -> list[Measure]:
    """Return the measures of an evaluation, of its settings as a provenance has them.

    Settings of before there were entries of tasks have those of all kinds; a kind that is not
    installed here has none.
    """
    tasks = settings.get("tasks")
    kinds = TASKS.kinds if tasks is None else [str(task["kind"]) for task in tasks.values()]
    measures: dict[Measure, None] = {}
    for kind in kinds:
        with suppress(ConfigError):
            measures |= dict.fromkeys(TASKS.of(kind).measures)
    return list(measures)
