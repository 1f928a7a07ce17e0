"""What all stages have in common in what they are told."""

from collections.abc import Mapping
from typing import Any, Self

from clipdiff.settings import Section


class StageSettings(Section):
    """Base of what a stage is told.

    In a rule's params and in every hash stands :meth:`result` alone; how a stage computes comes
    beside it (:meth:`with_compute`).
    """

    version: int = 1

    def compute_paths(self) -> dict[str, list[str]]:
        """Return where the configuration has what each section says of computing."""
        return {}

    def with_compute(self, compute: Mapping[str, Any]) -> Self:
        """Return these settings with what a configuration says of computing (``compute()``).

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
