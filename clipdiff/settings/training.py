"""Finetuning of one cell."""

from typing import Literal

from pydantic import ConfigDict, Field

from clipdiff.settings.base import Compute, Fraction, Positive, Section, without_defaults


class Train(Section):
    """Finetuning of one cell."""

    trainable: Literal["transformer", "text", "image", "both"] = "transformer"
    batch: Positive = Field(128, description="pairs a step over all ranks; negatives are global")
    pairs: Positive | None = Field(None, description="most pairs trained on, at random; null: all")
    images: int | None = Field(
        None, ge=2, description="only pairs of so many images, at random; null: of all"
    )
    epochs: Positive = 4
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    gamma: float = Field(0.9, gt=0, le=1, description="exponential: factor an epoch")
    warmup: Fraction = Field(0.1, description="share of the steps")
    clip_grad: float = Field(1.0, ge=0, description="gradient norm; 0 is off")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32",
        description="of what the towers and the fused kernels of the loss multiply; weights, "
        "optimizer and sums are fp32",
    )

    micro_batch: Compute[Positive | None] = Field(
        None,
        description="most texts, and most images, that the towers see at once; null: the share of "
        "a rank. Changes numbers by rounding only",
    )
    ranks: Compute[Positive] = Field(
        1,
        description="processes (GPUs) under torchrun, over all nodes; changes numbers by rounding "
        "only",
    )
    zero_stage: Compute[Literal[0, 1, 2, 3]] = Field(
        0, description="DeepSpeed ZeRO; changes numbers by rounding only"
    )
    offload: Compute[bool] = Field(False, description="optimizer state in CPU memory")
    threads: Compute[Positive] = Field(
        1, description="CPU threads a rank; fixed, as they change numbers by rounding"
    )
    checkpoint_every: Compute[Positive] = Field(50, description="steps")
    keep_checkpoints: Compute[Positive] = 1
    log_every: Compute[Positive] = Field(10, description="steps from line to line of the log")

    @property
    def trains_images(self) -> bool:
        """Whether the image tower trains, so that cached image_embeds are no longer the cell's."""
        return self.trainable in ("image", "both")


class TrainChanges(Train):
    """What an entry changes of the section ``train``: the keys that are set, none required."""

    model_config = ConfigDict(json_schema_extra=without_defaults)

    lr: float = Field(default_factory=float, gt=0)  # not required here; never read unset
