"""Attributes that two pictures can differ in, and the text that states a difference.

The texts are data: ``templates/NAME.yaml``, or a file of the user's.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import Field, TypeAdapter, ValidationError

from clipdiff.config.sections import Section
from clipdiff.errors import ConfigError, DataError, did_you_mean

TEMPLATES = Path(__file__).parent / "templates"

Value = str | int | float


class Ordinal(Section):
    """Values with an order, such as sizes: one text for more, one for less."""

    kind: Literal["ordinal"]
    order: list[Value] | Literal["numeric"]
    greater: str = Field(min_length=1)
    less: str = Field(min_length=1)

    def code(self, value: Value) -> float:
        """Return a number that orders values; NaN where the value has no place."""
        if self.order != "numeric":
            places = {str(known): place for place, known in enumerate(self.order)}
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


class Nominal(Section):
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
        name: a file of ``clipdiff/evaluate/templates`` without ``.yaml``, or the path of one.

    Raises:
        ConfigError: there is no such file, or it says something that is not allowed.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else TEMPLATES / f"{name}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in TEMPLATES.glob("*.yaml"))
        raise ConfigError(
            f"evaluate.templates: got '{name}'{did_you_mean(name, known)}; "
            f"allowed: {', '.join(known)}, or the path of a .yaml file"
        )
    try:
        templates = TypeAdapter(Templates).validate_python(yaml.safe_load(path.read_text()))
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{path}: not a table of difference texts: {error}") from error
    if not templates:
        raise ConfigError(f"{path}: empty; expected at least one attribute")
    return templates


def attribute_codes(
    name: str, attribute: Ordinal | Nominal, values: Sequence[Value | None], where: str
) -> np.ndarray:
    """Return (n,) float64 codes: two pictures differ in the attribute if their codes do.

    Args:
        name: the attribute, for error texts.
        attribute: its kind, and order if it has one.
        values: one a picture; None where a picture lacks the attribute (its code is NaN).
        where: the file and split, for error texts.

    Raises:
        DataError: a value has no place in the order, or no two pictures differ.
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
        codes = [places.get(text, math.nan) for text in texts]
    coded = np.array(codes, dtype=np.float64)
    if len(np.unique(coded[~np.isnan(coded)])) < 2:
        raise DataError(
            f"{where}: no two pictures differ in the attribute '{name}'; write it into the "
            "attributes column, or take it out of evaluate.templates"
        )
    return coded
