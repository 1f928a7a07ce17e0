"""Which of an LLM's texts are kept."""

from pydantic import ConfigDict, Field

from clipdiff.settings.base import Fraction, Positive, Section, without_defaults


class Filter(Section):
    """Which differences are kept; every dropped row keeps its reason."""

    enabled: bool = True
    min_words: Positive = 4
    max_repeat: Fraction = Field(0.5, description="largest share of repeated 3-grams")
    min_compression: Fraction = Field(0.25, description="smallest zlib size / text size")
    require_both: bool = Field(True, description="drop texts that mention one image only")


class FilterChanges(Filter):
    """What an entry changes of the section ``filter``: the keys that are set."""

    model_config = ConfigDict(json_schema_extra=without_defaults)
