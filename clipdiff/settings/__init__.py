"""The sections of ``config.yaml`` that hold no entries, and what every section is made of."""

from clipdiff.settings.base import Compute, EntryName, Fraction, Positive, Section, Seed, Values
from clipdiff.settings.clip import Clip
from clipdiff.settings.evaluation import LLM_TEXTS, Evaluate, Gather, SplitSettings
from clipdiff.settings.filtering import Filter, FilterChanges
from clipdiff.settings.generation import Generate, Price
from clipdiff.settings.training import Train, TrainChanges

__all__ = [
    "LLM_TEXTS",
    "Clip",
    "Compute",
    "EntryName",
    "Evaluate",
    "Filter",
    "FilterChanges",
    "Fraction",
    "Gather",
    "Generate",
    "Positive",
    "Price",
    "Section",
    "Seed",
    "SplitSettings",
    "Train",
    "TrainChanges",
    "Values",
]
