"""One gloo rank of ``test_loss_ranks.py``: ``gloo_rank.py RANK SIZE FOLDER``."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from clipdiff_kernels import Stats
from safetensors.torch import load_file, save_file
from torch import nn

from clipdiff.losses.contrastive import Contrastive
from clipdiff.losses.hinge import Hinge
from clipdiff.losses.squared import Squared
from clipdiff.train.gradients import loss_gradients
from clipdiff.train.ranks import Ranks

LOSSES = {
    "contrastive": Contrastive(logit_scale=7.0, learn_logit_scale=True),
    "squared": Squared(),
    "hinge": Hinge(),
    "hardest": Hinge(negatives="hardest"),
    "reversed": Hinge(negatives="reversed"),
}
WITHOUT_ROWS = "contrastive, texts gathered"  # as the module of a plugin may be


class Gathered(nn.Module):
    """A module that has neither ``rows`` nor ``clamp_``."""

    def __init__(self, loss: nn.Module):
        super().__init__()
        self.inner = loss

    def forward(self, *batch: torch.Tensor) -> tuple[torch.Tensor, Stats]:
        return self.inner(*batch)


def module(name: str) -> nn.Module:
    """Return the module of one of the losses by name."""
    if name == WITHOUT_ROWS:
        return Gathered(LOSSES["contrastive"].module())
    return LOSSES[name].module()


def results(ranks: Ranks, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return loss, statistics and gradients of every loss, with and without the images'."""
    texts = inputs["text_embeds"][ranks.share(len(inputs["pair_index"]))]
    values = {}
    for name in (*LOSSES, WITHOUT_ROWS):
        for with_images in (False, True):
            loss = module(name)
            gradients = loss_gradients(
                loss, inputs["image_embeds"], inputs["pair_index"], texts, inputs["group_ids"],
                ranks=ranks, with_images=with_images,
            )  # fmt: skip
            key = f"{name}-{with_images}"
            values[f"{key}-loss"] = torch.stack([gradients.loss, *gradients.stats])
            values[f"{key}-text"] = gradients.text
            if with_images:
                values[f"{key}-images"] = gradients.images
            for parameter in loss.parameters():
                values[f"{key}-scale"] = parameter.grad
    return values


if __name__ == "__main__":
    rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / f"store{size}"), size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    values = results(Ranks.current(), load_file(folder / "inputs.safetensors"))
    contiguous = {name: value.contiguous() for name, value in values.items()}
    save_file(contiguous, folder / f"rank{rank}of{size}.safetensors")
    dist.destroy_process_group()
