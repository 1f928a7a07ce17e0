"""The towers that train, as the one module that DeepSpeed sees."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from clipdiff.errors import TrainingError
from clipdiff.towers.encode import BATCH
from clipdiff.towers.load import LoadedClip
from clipdiff.towers.text import TextTower

Trainable = Literal["transformer", "text", "image", "both"]


class TrainedTowers(nn.Module):
    """The text tower, the image tower or both, sharing their parameters with the CLIP.

    They stay in eval mode: dropout and running statistics would make a loss depend on how a batch
    is cut over ranks and micro batches. CLIP's own ``logit_scale`` is not part of it.
    """

    def __init__(self, clip: LoadedClip, trainable: Trainable):
        super().__init__()
        self.text = None if trainable == "image" else clip.text_tower
        self.image = clip.model.visual if trainable in ("image", "both") else None
        if self.text is not None:
            _trained_texts(self.text, trainable).requires_grad_(True)
        if self.image is not None:
            self.image.requires_grad_(True)

    def train(self, mode: bool = True) -> "TrainedTowers":
        """Set this module's flag only."""
        self.training = mode
        return self

    def forward(self, tokens: Tensor | None, pixels: Tensor | None) -> list[Tensor]:
        """Encode what the towers in training need.

        Args:
            tokens: (n, L) int64, cut at the longest text; None without a text tower.
            pixels: (m, 3, H, W) float32; None without an image tower.

        Returns:
            L2-normalised float32 embeddings: texts (n, D), images (m, D), those that there are.
        """
        features = []
        if self.text is not None:
            features.append(self.text(tokens, trimmed=True))
        if self.image is not None:
            features.append(self.image(pixels))
        return [normalize(each.float(), dim=1) for each in features]

    def named_trained(self) -> dict[str, nn.Parameter]:
        """Return the parameters in training, by their names in the open_clip model."""
        prefixes = {"text": "", "image": "visual."}
        named = {}
        for name, parameter in self.named_parameters():
            side, _, rest = name.partition(".")
            if parameter.requires_grad:
                named[prefixes[side] + rest] = parameter
        return named


def _trained_texts(tower: TextTower, trainable: Trainable) -> nn.Module:
    if trainable != "transformer":
        return tower
    return tower.get_submodule("transformer" if tower.is_openai_style else "text.transformer")


def trained_state(towers: TrainedTowers) -> dict[str, Tensor]:
    """Return the trained weights, whole, fp32 and on the CPU; every rank has to call it.

    Raises:
        TrainingError: one is not finite.
    """
    from deepspeed.utils import safe_get_full_fp32_param

    state = {}
    for name, parameter in towers.named_trained().items():
        whole = safe_get_full_fp32_param(parameter)  # None where the engine keeps it whole
        state[name] = (parameter if whole is None else whole).detach().float().cpu().clone()
        if not state[name].isfinite().all():
            raise TrainingError(
                f"the weights {name} are not finite after the last step; lower train.lr"
            )
    return state


@torch.no_grad()
def frozen_text_embeds(clip: LoadedClip, tokens: Tensor) -> Tensor:
    """Encode all texts once where the text tower is frozen.

    Args:
        clip: the model.
        tokens: (N, L) int64, cut at the longest text.

    Returns:
        text_embeds (N, D) float32, L2-normalised, on the model's device.
    """
    parts = [clip.text_tower(part.to(clip.device)).float() for part in tokens.split(BATCH)]
    return normalize(torch.cat(parts), dim=1)
