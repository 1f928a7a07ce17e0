"""Pictures, captions, pairs, and the sets that are evaluated on."""

from typing import Literal

from pydantic import Field

from clipdiff.config.sections.base import EntryName, Positive, Section

SetName = Literal[
    "coco",
    "awa2",
    "cub200",
    "cifar10",
    "cifar100",
    "flowers102",
    "eurosat",
    "sun397",
    "food101",
    "folder",
    "webdataset",
]


class EvaluationSet(Section):
    """A data set that is evaluated on and never trained on."""

    root: str = Field(description="folder into which its archives were unpacked")
    kind: SetName | None = Field(None, description="how it is laid out; null: as its name says")

    def layout(self, name: str) -> str:
        """Return the layout of an entry of this name."""
        return self.kind or name


class Data(Section):
    """Pictures with captions, their splits, and how many training pairs to draw."""

    source: Literal["demo", "table", "coco"] = Field(
        description="`demo`: emoji scenes; `table`: a CSV or Parquet of your own; `coco`: COCO "
        "captions"
    )
    root: str | None = Field(None, description="for `coco`: folder of its unpacked archives")
    table: str | None = Field(
        None,
        description="for `table`: file with columns image, caption, split[, label, attributes]",
    )
    train_images: Positive = 1000
    validation_images: Positive = 500
    test_images: Positive = 1000
    pairs: Positive = Field(4000, description="training pairs; at most M(M-1)/2")
    evaluation: dict[EntryName, EvaluationSet] = Field(
        default_factory=dict,
        description="sets to evaluate on; NAME adds the splits NAME and NAME_validation",
    )
    seed: int = 0
