"""One gloo rank of ``test_loss_ranks.py``: ``gloo_rank.py RANK SIZE FOLDER``.

It needs TRITON_INTERPRET=1.
"""

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from clipdiff_kernels import Stats
from clipdiff_kernels.dispatch import BACKEND_VARIABLE, BACKENDS
from launches import counted
from safetensors.torch import load_file, save_file
from torch import nn

from clipdiff.losses.base import KernelLoss
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
CASES = [
    ("auto", "fp32"),
    *((name, precision) for name in ("triton", "triton-gather") for precision in ("fp32", "bf16")),
]


class Gathered(nn.Module):
    """A module that has neither ``rows`` nor ``clamp_``."""

    def __init__(self, loss: nn.Module):
        super().__init__()
        self.inner = loss

    def forward(self, *batch: torch.Tensor) -> tuple[torch.Tensor, Stats]:
        return self.inner(*batch)


def module(name: str, precision: str) -> nn.Module:
    """Return the module of one of the losses by name."""
    loss = LOSSES["contrastive" if name == WITHOUT_ROWS else name].module()
    assert isinstance(loss, KernelLoss)
    loss.precision = precision
    return Gathered(loss) if name == WITHOUT_ROWS else loss


def results(
    ranks: Ranks, inputs: dict[str, torch.Tensor], backend: str = "auto", precision: str = "fp32"
) -> dict[str, torch.Tensor]:
    """Return loss, statistics and gradients of every loss that the backend has.

    Each with and without the images' gradient.
    """
    texts = inputs["text_embeds"][ranks.share(len(inputs["pair_index"]))]
    values = {}
    for name in (*LOSSES, WITHOUT_ROWS):
        if name == "squared" and backend not in ("auto", *BACKENDS["squared"]):
            continue
        for with_images in (False, True):
            loss = module(name, precision)
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
    launches = counted()
    for backend, precision in CASES:
        launches.clear()
        os.environ[BACKEND_VARIABLE] = backend
        inputs = load_file(folder / "inputs.safetensors")
        values = results(Ranks.current(), inputs, backend, precision)
        path = folder / f"{backend}-{precision}-rank{rank}of{size}.safetensors"
        save_file({name: value.contiguous() for name, value in values.items()}, path)
        path.with_suffix(".json").write_text(json.dumps(launches))
    dist.destroy_process_group()
