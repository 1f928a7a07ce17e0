"""How a CLIP is named."""

from typing import Self

from pydantic import Field, model_validator

from clipdiff.settings.base import Compute, Positive, Section
from clipdiff.shipped import SCHEME, path_of


class Clip(Section):
    """A CLIP as open_clip names it: an architecture and its tag, or ``local-dir:FOLDER``."""

    model: str = Field(
        description="open_clip name, `local-dir:FOLDER`, `hf-hub:ORG/NAME`, or `demo:clip`"
    )
    pretrained: str | None = Field(None, description="open_clip tag of the weights")
    batch: Compute[Positive] = Field(
        256, description="images embedded at once; changes numbers by rounding only"
    )

    @model_validator(mode="after")
    def _tags_belong_to_architectures(self) -> Self:
        if self.pretrained is not None and self.model.startswith(("demo:", "local-dir:")):
            raise ValueError(f"pretrained has no effect on {self.model}, which has its own weights")
        return self

    @property
    def open_clip_name(self) -> str:
        """What open_clip calls the model; a shipped one is a folder of this installation.

        Raises:
            ConfigError: no model of that name is shipped.
        """
        shipped = self.model.startswith(SCHEME)
        return f"local-dir:{path_of(self.model)}" if shipped else self.model
