"""Entries: one file holds all of a kind: its settings, its behaviour and its words.

A room of entries is a package, such as ``clipdiff.losses``: each of its modules but ``base`` is one
kind, named as its file, and defines one subclass of the room's base class. (What kinds share lies
in ``base`` and in subpackages.) Kinds of other packages come in by an entry point, whose group is
named like the room, or as ``kind: package.module:Class``.
"""

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import Field, GetCoreSchemaHandler
from pydantic.json_schema import GetJsonSchemaHandler, JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from clipdiff.errors import ConfigError, did_you_mean
from clipdiff.settings.base import Section, Values


class Entry(Section):
    """Base of the settings of all entries. A subclass adds fields, behaviour and words.

    ``kind`` names the file that the class lies in, or is ``package.module:Class``.
    """

    room: ClassVar[str] = ""
    """Package of the entries, such as ``clipdiff.losses``; set by each room's base class."""

    kind: str = Field(description="which entry it is")


AnyEntry = TypeVar("AnyEntry", bound=Entry)


@dataclass(frozen=True)
class Registry(Generic[AnyEntry]):
    """The kinds of one room.

    Args:
        base: class that every entry of the room derives from.
    """

    base: type[AnyEntry]

    @property
    def room(self) -> str:
        """The package of the entries, which is also the group of entry points."""
        return self.base.room

    @cached_property
    def modules(self) -> Mapping[str, str]:
        """Where each kind is defined: ``package.module:Class``, or a module of its own."""
        own = import_module(self.room)
        modules = {
            module.name: f"{self.room}.{module.name}"
            for module in pkgutil.iter_modules(own.__path__)
            if not module.ispkg and module.name != "base"
        }
        others = {point.name: point.value for point in entry_points(group=self.room)}
        return others | modules  # a kind of the package keeps its name

    @property
    def kinds(self) -> list[str]:
        """Names of all kinds that are installed."""
        return sorted(self.modules)

    @property
    def own_kinds(self) -> list[str]:
        """Names of the kinds that the package has itself."""
        return [kind for kind in self.kinds if self.modules[kind].startswith(f"{self.room}.")]

    def of(self, kind: str) -> type[AnyEntry]:
        """Return the entry class of a kind.

        Raises:
            ConfigError: there is no such kind, or it is not an entry of this room.
        """
        where = kind if ":" in kind else self.modules.get(kind)
        if where is None:
            raise ConfigError(
                f"got '{kind}'{did_you_mean(kind, self.kinds)}; allowed: {', '.join(self.kinds)}, "
                f"or package.module:Class of a {self.base.__name__}"
            )
        module, _, name = where.partition(":")
        try:
            loaded = import_module(module)
            entry = getattr(loaded, name) if name else self._only_entry(vars(loaded), module)
        except Exception as error:  # a module of others may raise whatever it likes
            why = f"{type(error).__name__}: {error}"
            raise ConfigError(f"'{kind}' can't be imported ({why})") from error
        shared = f"{self.room}.base"  # what entries have in common is none
        is_entry = isinstance(entry, type) and issubclass(entry, self.base)
        if not is_entry or entry.__module__ == shared:
            raise ConfigError(f"'{kind}' is no {self.base.__name__}; see clipdiff.testing")
        return entry

    def _only_entry(self, names: Mapping[str, Any], module: str) -> Any:
        own = [
            each
            for each in names.values()
            if isinstance(each, type) and issubclass(each, self.base) and each.__module__ == module
        ]
        if len(own) != 1:
            raise AttributeError(f"{module} defines {len(own)} of {self.base.__name__}, not one")
        return own[0]

    def make(self, values: Mapping[str, Any], name: str | None = None) -> AnyEntry:
        """Return the entry of some values, whose ``kind`` may be left out if its name says it.

        Raises:
            ConfigError: there is no such kind.
            pydantic.ValidationError: a value is not allowed.
        """
        values = self.with_kind(values, name)
        return self.of(str(values["kind"])).model_validate(dict(values))

    def with_kind(self, values: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
        """Return the values with the kind that an entry's name stands for, if they have none."""
        if values.get("kind") is None and name in self.modules:
            return {**values, "kind": name}
        return values


@dataclass(frozen=True)
class Entries:
    """Annotates a field that holds an entry of a registry, whatever its kind.

    ``Annotated[LossEntry, Entries(LOSSES)]`` validates a mapping by the class of its ``kind``; its
    JSON schema is the union of all built-in kinds, discriminated by ``kind``.
    """

    registry: Registry[Any]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda entry, info: entry.model_dump(
                    mode=info.mode, exclude_unset=info.exclude_unset
                ),
                info_arg=True,
            ),
        )

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        kinds = map(self.registry.of, self.registry.own_kinds)
        schemas = [handler(kind.__pydantic_core_schema__) for kind in kinds]
        return {"oneOf": schemas, "discriminator": {"propertyName": "kind"}}

    def _validate(self, value: Any) -> Entry:
        if isinstance(value, self.registry.base):
            return value
        if not isinstance(value, Mapping):
            raise PydanticCustomError("mapping", "expected a mapping with a kind")
        if "kind" not in value:
            raise PydanticCustomError(
                "missing_kind",
                "kind is missing; allowed: {kinds}",
                {"kinds": ", ".join(self.registry.kinds)},
            )
        try:
            return self.registry.make(value)
        except ConfigError as error:
            raise PydanticCustomError("unknown_kind", "kind: {why}", {"why": str(error)}) from error


def named(values: Any, registry: Registry[Any]) -> Any:
    """Return a mapping of named entries, the kind filled in where the name is one."""
    if not isinstance(values, Mapping):
        return values
    filled: Values = {
        name: registry.with_kind(entry or {}, str(name))
        if isinstance(entry, Mapping | None)
        else entry
        for name, entry in values.items()
    }
    return filled
