"""Losses and finetuning."""

from typing import Literal

from pydantic import ConfigDict, Field

from clipdiff.config.sections.base import Fraction, Positive, Section, without_defaults


class Train(Section):
    """Finetuning of one cell."""

    trainable: Literal["transformer", "text", "image", "both"] = "transformer"
    batch: Positive = Field(128, description="pairs a step over all ranks; negatives are global")
    micro_batch: Positive | None = Field(None, description="null: the share of a rank")
    pairs: Positive | None = Field(None, description="most pairs trained on, at random; null: all")
    images: int | None = Field(
        None, ge=2, description="only pairs of so many pictures, at random; null: of all"
    )
    epochs: Positive = 4
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    gamma: float = Field(0.9, gt=0, le=1, description="exponential: factor an epoch")
    warmup: Fraction = Field(0.1, description="share of the steps")
    clip_grad: float = Field(1.0, ge=0, description="gradient norm; 0 is off")
    ranks: Positive = Field(1, description="processes (GPUs) under torchrun, over all nodes")
    zero_stage: Literal[0, 1, 2, 3] = 0
    offload: bool = Field(False, description="optimizer state in CPU memory")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    checkpoint_every: Positive = Field(50, description="steps")
    keep_checkpoints: Positive = 1
    log_every: Positive = 10
    threads: Positive = Field(1, description="CPU threads a rank; fixed, so that runs repeat")

    @property
    def trains_images(self) -> bool:
        """Whether the image tower trains, so that cached image_embeds are no longer the cell's."""
        return self.trainable in ("image", "both")


class TrainChanges(Train):
    """What an entry changes of the section ``train``: the keys that are set, none required."""

    model_config = ConfigDict(json_schema_extra=without_defaults)

    lr: float = Field(default_factory=float, gt=0)  # not required here; never read unset


class Loss(Section):
    """One entry of ``loss_definitions``."""

    kind: Literal["contrastive", "squared", "hinge"]
    logit_scale: float = Field(1.0, gt=0, le=100, description="contrastive: inverse temperature")
    learn_logit_scale: bool = False
    logit_scale_lr: float | None = Field(
        None, gt=0, description="rate of a learned logit_scale; null: train.lr"
    )
    normalize: bool = Field(False, description="squared: compare with the normalised difference")
    margin: float = Field(0.2, gt=0, description="hinge")
    negatives: Literal["all", "hardest", "reversed"] = Field("all", description="hinge")
    mask_duplicates: bool = Field(True, description="equal texts in a batch are no negatives")
    train: TrainChanges = Field(
        default_factory=TrainChanges,
        exclude=True,  # what it changes stands in the section of the cell
        description="keys of the section train that differ for the cells of this entry",
    )
