"""The whole of ``config.yaml``; ``schema.json`` is generated from it."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from clipdiff.datasets.base import DATASETS, DatasetEntry
from clipdiff.errors import ConfigError
from clipdiff.losses.base import LOSSES, LossEntry
from clipdiff.registry import Entries, named
from clipdiff.settings import (
    Clip,
    EntryName,
    Evaluate,
    Filter,
    Gather,
    Generate,
    Positive,
    Section,
    Seed,
    Train,
)
from clipdiff.tasks.base import TASKS, TaskEntry
from clipdiff.writers.base import WRITERS, WriterEntry

AnyWriter = Annotated[WriterEntry, Entries(WRITERS)]
AnyLoss = Annotated[LossEntry, Entries(LOSSES)]
AnyTask = Annotated[TaskEntry, Entries(TASKS)]
AnyDataset = Annotated[DatasetEntry, Entries(DATASETS)]


class Controls(Section):
    """Rows beside the grid that show what the differences themselves contribute."""

    rows: list[Literal["captions", "rewritten", "shuffled"]]
    llm: EntryName = Field(description="whose rewrites and whose shuffled differences")
    seeds: list[Seed]


class Data(Section):
    """Images with captions, their splits, and how many training pairs to draw."""

    source: str = Field(
        description="`demo`: emoji scenes; `table`: a CSV or Parquet of your own; or a data set "
        "with captions, such as `coco`"
    )
    root: str | None = Field(None, description="of a data set: folder of its unpacked archives")
    table: str | None = Field(
        None,
        description="for `table`: file with columns image, caption, split[, label, attributes]",
    )
    train_images: Positive = 1000
    validation_images: Positive = 500
    test_images: Positive = 1000
    pairs: Positive = Field(4000, description="training pairs; at most M(M-1)/2")
    evaluation: dict[EntryName, AnyDataset] = Field(
        default_factory=dict,
        description="sets to evaluate on; NAME adds the splits NAME and NAME_validation. A name "
        "that is a kind needs none",
    )
    seed: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Most images of each split that the training set is read for."""
        return {
            "train": self.train_images,
            "validation": self.validation_images,
            "test": self.test_images,
        }

    def training_set(self) -> DatasetEntry:
        """Return the set that training and validation images are read from.

        Raises:
            ConfigError: there is no such set, or it has no captions to train on.
            pydantic.ValidationError: it lacks a setting, or has no use for one.
        """
        if not DATASETS.of(self.source).trains:
            able = [kind for kind in DATASETS.own_kinds if DATASETS.of(kind).trains]
            raise ConfigError(
                f"'{self.source}' has no captions to train on; allowed: {', '.join(able)}"
            )
        settings = {name: getattr(self, name) for name in ("root", "table")}
        return DATASETS.make({"kind": self.source, **settings})

    @field_validator("evaluation", mode="before")
    @classmethod
    def _kinds_by_name(cls, values: Any) -> Any:
        return named(values, DATASETS)


class Config(Section):
    """The whole configuration: grid axes, definitions of their entries, and one section a stage."""

    results: str = Field(
        "results",
        pattern=r"^[^{}]+$",
        description="folder of all results; another one is another run",
    )
    llms: list[EntryName] = Field(min_length=1)
    losses: list[EntryName] = Field(min_length=1)
    seeds: list[Seed] = Field(min_length=1)
    controls: Controls
    data: Data
    clip: Clip
    reference_clip: Clip
    generate: Generate
    filter: Filter
    train: Train
    evaluate: Evaluate
    gather: Gather
    llm_definitions: dict[EntryName, AnyWriter]
    loss_definitions: dict[EntryName, AnyLoss]
    task_definitions: dict[EntryName, AnyTask] = Field(
        default_factory=dict,
        description="tasks whose settings are not the defaults; a name that is a kind needs none",
    )

    @field_validator("task_definitions", mode="before")
    @classmethod
    def _kinds_by_name(cls, values: Any) -> Any:
        return named(values, TASKS)
