"""Pydantic's errors in words: the dotted key, what was got and what is allowed."""

import re
from collections.abc import Mapping
from types import UnionType
from typing import Any, get_args

from clipdiff.config.model import Config
from clipdiff.errors import did_you_mean
from clipdiff.registry import Entries
from clipdiff.settings.base import Section


def fault_text(item: Any, values: Mapping[str, Any]) -> str:
    """Return one of pydantic's errors on some configuration values in words."""
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        names = _names_at(item["loc"][:-1], values)
        hint = did_you_mean(str(item["loc"][-1]), names)
        return f"{key}: unknown key{hint}; allowed: {', '.join(names)}"
    if item["loc"][-1] == "[key]":
        return (
            f"{'.'.join(map(str, item['loc'][:-2]))}: '{item['input']}' is no name; allowed are "
            "letters, digits, '_', '.' and '-', and a name begins with none of the last two"
        )
    if item["type"] == "missing":
        return f"{key}: missing; {item['msg'].lower()}"
    if item["type"] == "literal_error":
        allowed = re.findall(r"'([^']*)'", item["ctx"]["expected"])
        hint = did_you_mean(str(item["input"]), allowed)
        return f"{key}: got {item['input']!r}, allowed: {item['ctx']['expected']}{hint}"
    if item["type"] == "missing_kind":
        kinds = item["ctx"]["kinds"].split(", ")
        return f"{key}.{item['msg']}{did_you_mean(str(item['loc'][-1]), kinds)}"
    if item["type"] in ("unknown_kind", "mapping"):
        return f"{key}.{item['msg']}" if item["type"] != "mapping" else f"{key}: {item['msg']}"
    if item["type"] == "value_error":
        return f"{key}: {item['ctx']['error']}"
    return f"{key}: got {item['input']!r}: {item['msg']}"


def _names_at(loc: tuple[int | str, ...], values: Any) -> list[str]:
    """Return the keys allowed at a location, walking models and values together."""
    model: Any = Config
    for part in loc:
        values = values.get(part, {}) if isinstance(values, Mapping) else {}
        if isinstance(model, type) and issubclass(model, Section):
            field = model.model_fields[str(part)]
            model = _held_by(field.annotation, field.metadata)
        else:  # dict[EntryName, ...]
            model = _held_by(get_args(model)[-1], ())
        if isinstance(model, Entries):
            registry = model.registry
            model = registry.of(str(registry.with_kind(values, str(part)).get("kind")))
    return sorted(model.model_fields)


def _held_by(annotation: Any, metadata: Any) -> Any:
    """Return the model of a field, or the ``Entries`` mark of one that holds an entry."""
    marks = [*metadata, *getattr(annotation, "__metadata__", ())]
    for mark in marks:
        if isinstance(mark, Entries):
            return mark
    if isinstance(annotation, UnionType):  # Section | None
        return get_args(annotation)[0]
    return annotation
