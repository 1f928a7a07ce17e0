"""How a CLIP is named."""

from pydantic import Field

from clipdiff.settings.base import Compute, Positive, Section


class Clip(Section):
    """A CLIP as open_clip names it: an architecture and its tag, or ``local-dir:FOLDER``."""

    model: str = Field(
        description="open_clip name, `local-dir:FOLDER`, `hf-hub:ORG/NAME`, or `demo:clip`"
    )
    pretrained: str | None = Field(None, description="open_clip tag of the weights")
    batch: Compute[Positive] = Field(
        256, description="images embedded at once; changes numbers by rounding only"
    )
