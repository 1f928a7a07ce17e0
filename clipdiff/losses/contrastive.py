"""InfoNCE in both directions between texts and differences (Radford 2021; Sam 2025, eq. 3-4)."""

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from clipdiff.losses.base import NegativesLoss

if TYPE_CHECKING:
    from clipdiff.losses.modules.difference_loss import DifferenceLoss

SMALLEST, LARGEST = 1e-3, 100.0


class Contrastive(NegativesLoss):
    """``logit_scale`` is an inverse temperature, apart from CLIP's own."""

    kind: Literal["contrastive"] = "contrastive"
    logit_scale: float = Field(1.0, gt=0, le=LARGEST, description="inverse temperature")
    learn_logit_scale: bool = False
    logit_scale_lr: float | None = Field(
        None, gt=0, description="rate of a learned logit_scale; null: train.lr"
    )

    @model_validator(mode="after")
    def _rate_of_what_is_learned(self) -> Self:
        if self.logit_scale_lr is not None and not self.learn_logit_scale:
            raise ValueError("logit_scale_lr has no effect without learn_logit_scale: true")
        return self

    @property
    def own_lr(self) -> float | None:
        """A rate for weights hardly moves a logit_scale of 25."""
        return self.logit_scale_lr

    def describe(self) -> str:
        """Say the temperature, and whether it is learned."""
        learned = ""
        if self.learn_logit_scale:
            learned = ", learned" + (f" at rate {self.own_lr:g}" if self.own_lr else "")
        scale = f"logit_scale {self.logit_scale:g}{learned}"
        return f"InfoNCE in both directions, {scale}, {self.duplicates}"

    def module(self) -> "DifferenceLoss":
        """Return the contrastive kernels with their temperature, a parameter of shape (1,)."""
        from clipdiff_kernels import contrastive_loss, contrastive_loss_rows

        from clipdiff.losses.modules.difference_loss import DifferenceLoss, Learned

        scale = Learned(self.logit_scale, self.learn_logit_scale, SMALLEST, LARGEST)
        return DifferenceLoss(
            "contrastive", contrastive_loss, contrastive_loss_rows, {}, {"logit_scale": scale}
        )
