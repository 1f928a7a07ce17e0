"""What every section of the configuration is made of.

A field either decides numbers, or says how they are computed (``Compute``). Only the first kind
goes into rules' params, hashes, checkpoint identities and cache keys: changing the second kind
never makes anything again and never drops a checkpoint or an answer.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.json_schema import GetJsonSchemaHandler, JsonSchemaValue
from pydantic_core import CoreSchema

Value = TypeVar("Value")
Values = dict[str, Any]


class ComputeMark:
    """Marks a field that says how numbers are computed; editors see ``"compute": true``."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(core), "compute": True}


Compute = Annotated[Value, ComputeMark()]
"""The type of such a field: ``threads: Compute[Positive] = 1``."""

EntryName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, strict=True)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values are not guessed.

    ``null`` stands for a key that is not written, so that a preset can take one back.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {key: each for key, each in values.items() if each is not None}

    def changed_by(self, changes: "Section") -> Self:
        """Return this section with the keys that are set in ``changes``."""
        return self.model_copy(update={k: getattr(changes, k) for k in changes.model_fields_set})

    @classmethod
    def compute_fields(cls) -> set[str]:
        """Return the names of the fields that say how numbers are computed."""
        return {
            name
            for name, field in cls.model_fields.items()
            if any(isinstance(mark, ComputeMark) for mark in field.metadata)
        }

    def result(self) -> Values:
        """Return what decides numbers, as JSON values: every such field, set or not.

        Fields that pydantic excludes (an entry's changes of another section) stand where they take
        effect, and are left out here.
        """
        skipped = self.compute_fields()
        skipped |= {name for name, field in type(self).model_fields.items() if field.exclude}
        kept = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: _result(value) for name, value in kept.items() if name not in skipped}

    def compute(self) -> Values:
        """Return how numbers are computed, as JSON values: only what is set, at any depth."""
        own, values = self.compute_fields(), {}
        for name in type(self).model_fields:
            if name not in self.model_fields_set:
                continue
            value = getattr(self, name)
            if name in own:
                values[name] = _plain(value)
            elif parts := _compute(value):
                values[name] = parts
        return values

    def computed_by(self, *computes: Mapping[str, Any]) -> Self:
        """Return this section with the values of :meth:`compute` of others, the last one first.

        Raises:
            pydantic.ValidationError: a value is not allowed.
        """
        merged = self.model_dump(mode="json", exclude_unset=True)
        for compute in computes:
            merged = merge(merged, compute)
        return self.model_validate(merged)


def merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> Values:
    """Return ``old`` with ``new`` over it, mapping by mapping, as Snakemake's --configfile does."""
    merged = dict(old)
    for key, value in new.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def without_defaults(schema: dict[str, Any]) -> None:
    """Take the defaults out of a model's JSON schema: keys that are not set change nothing."""
    for key in schema["properties"].values():
        key.pop("default", None)


def _result(value: Any) -> Any:
    if isinstance(value, Section):
        return value.result()
    if isinstance(value, Mapping):
        return {str(key): _result(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_result(each) for each in value]
    return _plain(value)


def _compute(value: Any) -> Values:
    if isinstance(value, Section):
        return value.compute()
    if isinstance(value, Mapping):
        parts = {str(key): _compute(each) for key, each in value.items()}
        return {key: part for key, part in parts.items() if part}
    return {}


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
