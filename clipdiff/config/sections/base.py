"""What all sections share: their base, common types, and how a CLIP is named."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

EntryName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]+$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values are not guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def changed_by(self, changes: "Section") -> Self:
        """Return this section with the keys that are set in ``changes``."""
        return self.model_copy(update={k: getattr(changes, k) for k in changes.model_fields_set})


def without_defaults(schema: dict[str, Any]) -> None:
    """Take the defaults out of a model's JSON schema: keys that are not set change nothing."""
    for key in schema["properties"].values():
        key.pop("default", None)


class Clip(Section):
    """A CLIP as open_clip names it: an architecture and its tag, or ``local-dir:FOLDER``."""

    model: str = Field(description="open_clip name, `local-dir:FOLDER` or `hf-hub:ORG/NAME`")
    pretrained: str | None = Field(None, description="open_clip tag of the weights")
    batch: Positive = Field(256, description="pictures embedded at once")
