"""The sections of ``config.yaml``, one model each; ``schema.json`` is generated from them."""

from typing import Literal

from pydantic import Field

from clipdiff.config.sections.base import Clip, EntryName, Fraction, Positive, Section
from clipdiff.config.sections.data import Data, EvaluationSet, SetName
from clipdiff.config.sections.evaluation import (
    Evaluate,
    Gather,
    SplitSettings,
    TaskName,
    Unclip,
)
from clipdiff.config.sections.llms import LLM, Filter, Generate, Price
from clipdiff.config.sections.training import Loss, Train

__all__ = [
    "LLM",
    "Clip",
    "Config",
    "Controls",
    "Data",
    "EntryName",
    "Evaluate",
    "EvaluationSet",
    "Filter",
    "Fraction",
    "Gather",
    "Generate",
    "Loss",
    "Positive",
    "Price",
    "Section",
    "SetName",
    "SplitSettings",
    "TaskName",
    "Train",
    "Unclip",
]


class Controls(Section):
    """Rows beside the grid that show what the differences themselves contribute."""

    rows: list[Literal["captions", "rewritten", "shuffled"]]
    llm: EntryName = Field(description="whose rewrites and whose shuffled differences")
    seeds: list[int]


class Config(Section):
    """The whole configuration: grid axes, definitions of their entries, and one section a stage."""

    llms: list[EntryName] = Field(min_length=1)
    losses: list[EntryName] = Field(min_length=1)
    seeds: list[int] = Field(min_length=1)
    controls: Controls
    data: Data
    clip: Clip
    reference_clip: Clip
    generate: Generate
    filter: Filter
    train: Train
    evaluate: Evaluate
    gather: Gather
    llm_definitions: dict[EntryName, LLM]
    loss_definitions: dict[EntryName, Loss]
