"""Attributes that two images can differ in, and the text that states a difference.

The texts are data: ``templates/NAME.yaml``, or a file of the user's. An image's value is that of
the attributes column, or, where the file says so, its class's. Classes go by name, never by
number: data sets differ in what they number from where.
"""

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import Field, TypeAdapter, ValidationError

from clipdiff.errors import ConfigError, DataError, did_you_mean
from clipdiff.settings import Section
from clipdiff.tasks.measuring.splits import Split

log = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent / "templates"
NO_TEMPLATES = "none"  # texts are written ones only

Value = str | int | float


class Described(Section):
    """What both kinds of attribute share: ``classes`` gives values to classes by name."""

    classes: dict[str, Value] | None = None


class Ordinal(Described):
    """Values with an order, such as sizes: one text for more, one for less."""

    kind: Literal["ordinal"]
    order: list[Value] | Literal["numeric"]
    greater: str = Field(min_length=1)
    less: str = Field(min_length=1)

    def code(self, value: Value) -> float:
        """Return a number that orders values; NaN where the value has no place."""
        value = int(value) if isinstance(value, bool) else value
        if self.order != "numeric":
            places = {str(each): place for place, each in enumerate(self.order)}
            return places.get(str(value), math.nan)
        try:
            return float(value)
        except ValueError:
            return math.nan

    def describe(self, first: Value, second: Value) -> str:
        """Say how the first value differs from the second."""
        return self.greater if self.code(first) > self.code(second) else self.less

    @property
    def allowed(self) -> str:
        """The values that have a place, for error texts."""
        return "a number" if self.order == "numeric" else ", ".join(map(str, self.order))


class Nominal(Described):
    """Values without an order, such as colours: one text that names both."""

    kind: Literal["nominal"]
    text: str = Field(pattern=r"\{first\}.*\{second\}|\{second\}.*\{first\}")
    words: dict[Value, str] = Field(default_factory=dict)

    def describe(self, first: Value, second: Value) -> str:
        """Say how the first value differs from the second."""
        read = {str(value): words for value, words in self.words.items()}
        texts = [read.get(str(value), str(value)) for value in (first, second)]
        return self.text.format(first=texts[0], second=texts[1])


Attribute = Annotated[Ordinal | Nominal, Field(discriminator="kind")]
Templates = dict[str, Attribute]


def load_templates(name: str) -> Templates:
    """Read the difference texts of a dataset, by attribute name.

    Args:
        name: a file of ``clipdiff/tasks/texts/templates`` without ``.yaml``, the path of one, or
            ``none``.

    Raises:
        ConfigError: there is no such file, or it says something that is not allowed.
    """
    if name == NO_TEMPLATES:
        return {}
    path = Path(name) if name.endswith((".yaml", ".yml")) else TEMPLATES / f"{name}.yaml"
    if not path.is_file():
        own = sorted(file.stem for file in TEMPLATES.glob("*.yaml"))
        raise ConfigError(
            f"evaluate.templates: got '{name}'{did_you_mean(name, own)}; "
            f"allowed: {', '.join(own)}, {NO_TEMPLATES}, or the path of a .yaml file"
        )
    try:
        templates = TypeAdapter(Templates).validate_python(yaml.safe_load(path.read_text()))
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{path}: not a table of difference texts: {error}") from error
    if not templates:
        raise ConfigError(f"{path}: empty; expected at least one attribute")
    return templates


def class_key(name: str) -> str:
    """Return a class name as it compares: ``017.Grizzly+bear`` and ``grizzly bear`` are one."""
    words = re.sub(r"^\d+\.", "", name.casefold())
    return re.sub(r"[\W_]+", " ", words).strip()


def attribute_values(name: str, attribute: Attribute, split: Split) -> list[Value | None]:
    """Return one value an image of a split, None where it has none.

    Args:
        name: the attribute, a key of the attributes column unless it has ``classes``.
        attribute: its kind.
        split: n images.
    """
    if attribute.classes is None:
        return split.values(name)
    by_key = {class_key(each): value for each, value in attribute.classes.items()}
    keys = [class_key(each) for each in split.class_names]
    if missing := sorted(by_key.keys() - set(keys)):
        log.warning(
            "%s: no class of the names %s, which the templates give '%s' to",
            split.where,
            ", ".join(missing),
            name,
        )
    return [by_key.get(keys[label]) if label >= 0 else None for label in split.labels]


@dataclass(frozen=True)
class Coded:
    """An attribute as the n images of a split have it.

    ``values`` are None and ``codes`` (n,) float64 NaN where an image lacks it; two images
    differ in the attribute if their codes do.
    """

    attribute: Attribute
    values: list[Any]
    codes: np.ndarray

    def describe(self, first: int, second: int) -> str:
        """Say how the image in one row differs from that in another."""
        return self.attribute.describe(self.values[first], self.values[second])


def coded_attributes(templates: str, split: Split) -> dict[str, Coded]:
    """Return the attributes of a templates file in which images of a split differ; maybe none.

    An attribute that all images share (none of AwA2's test classes has stripes) is left out.

    Raises:
        ConfigError: there is no such file, or it says something that is not allowed.
        DataError: no image has an attribute, a value has no place in the order, or no two
            images differ in any.
    """
    coded = {}
    for name, attribute in load_templates(templates).items():
        values = attribute_values(name, attribute, split)
        codes = attribute_codes(name, attribute, values, split.where)
        distinct = len(np.unique(codes[~np.isnan(codes)]))
        if not distinct:
            raise DataError(
                f"{split.where}: no image has the attribute '{name}'; write it into the "
                "attributes column, or take it out of evaluate.templates"
            )
        if distinct == 1:
            log.warning("%s: all images are alike in '%s': left out", split.where, name)
            continue
        coded[name] = Coded(attribute, values, codes)
    if not coded and templates != NO_TEMPLATES:
        raise DataError(
            f"{split.where}: no two images differ in an attribute of evaluate.templates "
            f"('{templates}'); name other templates, or add images"
        )
    return coded


def attribute_codes(
    name: str, attribute: Attribute, values: Sequence[Value | None], where: str
) -> np.ndarray:
    """Return (n,) float64 codes: two images differ in the attribute if their codes do.

    Args:
        name: the attribute, for error texts.
        attribute: its kind, and order if it has one.
        values: one an image; None where an image lacks the attribute (its code is NaN).
        where: the file and split, for error texts.

    Raises:
        DataError: a value has no place in the order.
    """
    if isinstance(attribute, Ordinal):
        codes = [math.nan if value is None else attribute.code(value) for value in values]
        for value, code in zip(values, codes, strict=True):
            if value is not None and math.isnan(code):
                raise DataError(
                    f"{where}: attribute '{name}' is {value!r}, expected {attribute.allowed}; "
                    "correct it or the templates file"
                )
    else:
        texts = [None if value is None else str(value) for value in values]
        places = {text: place for place, text in enumerate(sorted({t for t in texts if t}))}
        codes = [places.get(text or "", math.nan) for text in texts]
    return np.array(codes, dtype=np.float64)
