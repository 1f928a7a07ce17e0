"""One gloo rank of ``test_loss_ranks.py``: ``gloo_rank.py RANK SIZE FOLDER``."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file

from clipdiff.settings import Loss
from clipdiff.train.gradients import loss_gradients
from clipdiff.losses.make import make_loss
from clipdiff.train.ranks import Ranks

LOSSES = {
    "contrastive": Loss(kind="contrastive", logit_scale=7.0, learn_logit_scale=True),
    "squared": Loss(kind="squared"),
    "hinge": Loss(kind="hinge"),
    "hardest": Loss(kind="hinge", negatives="hardest"),
    "reversed": Loss(kind="hinge", negatives="reversed"),
}


def results(ranks: Ranks, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return loss, statistics and gradients of every loss, with and without the images'."""
    texts = inputs["text_embeds"][ranks.share(len(inputs["pair_index"]))]
    made = {}
    for name, settings in LOSSES.items():
        for with_images in (False, True):
            loss = make_loss(settings)
            found = loss_gradients(
                loss, inputs["image_embeds"], inputs["pair_index"], texts, inputs["group_ids"],
                ranks=ranks, with_images=with_images,
            )  # fmt: skip
            key = f"{name}-{with_images}"
            made[f"{key}-loss"] = torch.stack([found.loss, *found.stats])
            made[f"{key}-text"] = found.text
            if with_images:
                made[f"{key}-images"] = found.images
            for parameter in loss.parameters():
                made[f"{key}-scale"] = parameter.grad
    return made


if __name__ == "__main__":
    rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / f"store{size}"), size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    found = results(Ranks.current(), load_file(folder / "inputs.safetensors"))
    contiguous = {name: value.contiguous() for name, value in found.items()}
    save_file(contiguous, folder / f"rank{rank}of{size}.safetensors")
    dist.destroy_process_group()
