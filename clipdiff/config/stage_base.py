"""What the settings of all stages have in common."""

from collections.abc import Mapping
from typing import Any, Self

from clipdiff.settings import Section


class StageSettings(Section):
    """Base of a stage's settings.

    A rule's params and every hash hold :meth:`result` alone; how a stage computes is
    passed beside these (:meth:`with_compute`).
    """

    version: int = 1

    def compute_paths(self) -> dict[str, list[str]]:
        """Return where the configuration holds the compute fields of each section."""
        return {}

    def with_compute(self, compute: Mapping[str, Any]) -> Self:
        """Return these settings with the compute fields of a configuration (its ``compute()``).

        Raises:
            pydantic.ValidationError: a value is not allowed.
        """
        changed = {
            name: getattr(self, name).computed_by(*(_at(compute, path) for path in paths))
            for name, paths in self.compute_paths().items()
        }
        return self.model_copy(update=changed)


def _at(values: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    for part in path.split("/"):
        values = values.get(part, {})
    return values
