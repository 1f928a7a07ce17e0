"""The parts of a training, put together: towers, loss, data, engine, optimizers."""

from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from clipdiff.config.stages import TrainSettings
from clipdiff.losses.base import KernelLoss
from clipdiff.towers.images import load_images, read_images
from clipdiff.towers.load import LoadedClip
from clipdiff.train.engine import make_engine, make_optimizer
from clipdiff.train.inputs import BatchSource, LoadImages
from clipdiff.train.ranks import Ranks
from clipdiff.train.step import Stepper
from clipdiff.train.towers import TrainedTowers, frozen_text_embeds
from clipdiff.train.training_data import TrainingData


def make_stepper(
    settings: TrainSettings,
    clip: LoadedClip,
    data: TrainingData,
    captions: Path,
    ranks: Ranks,
    device: torch.device,
) -> tuple[Stepper, TrainedTowers]:
    """Return what takes the steps of a cell, and the towers that it trains.

    Args:
        settings: of the cell.
        clip: the CLIP to finetune; its parameters are the towers'.
        data: what to train on.
        captions: ``data/captions.parquet``; read where the image tower trains.
        ranks: this process among the others.
        device: where the towers are.

    Raises:
        DataError: the captions table lacks an image.
        TrainingError: the machine can't run the precision.
    """
    trainable = settings.train.trainable
    text_embeds = frozen_text_embeds(clip, data.tokens) if trainable == "image" else None
    source = BatchSource(
        data,
        ranks,
        device,
        settings.train.micro_batch,
        settings.loss.groups_texts,
        trains_text=text_embeds is None,
        load_images=_image_loader(clip, captions, data) if settings.train.trains_images else None,
    )
    towers = TrainedTowers(clip, trainable)
    engine = make_engine(towers, settings.train)
    loss = settings.loss.module().to(device)
    if isinstance(loss, KernelLoss):
        loss.precision = settings.train.precision
    optimizer = _loss_optimizer(loss, settings)
    return Stepper(engine, loss, source, text_embeds, ranks, optimizer), towers


def _loss_optimizer(loss: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer | None:
    """Return an optimizer of the loss's own parameters, without weight decay, if it has any."""
    if not any(each.requires_grad for each in loss.parameters()):
        return None
    optimizer = make_optimizer(loss, settings.train.model_copy(update={"weight_decay": 0.0}))
    if settings.loss.own_lr is not None:
        for group in optimizer.param_groups:
            group["of_lr"] = settings.loss.own_lr / settings.train.lr
    return optimizer


def _image_loader(clip: LoadedClip, captions: Path, data: TrainingData) -> LoadImages:
    """Return a function that decodes the images of some rows of ``data.image_ids``."""
    return partial(_load_rows, clip, read_images(captions, pd.Series(data.image_ids)))


def _load_rows(clip: LoadedClip, images: pd.DataFrame, rows: Tensor) -> Tensor:
    return load_images(clip, images.iloc[rows.numpy()])
