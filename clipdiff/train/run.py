"""Stage ``train``: one cell, from texts and embeddings to an exported model."""

import logging
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from clipdiff.config.stages import TrainSettings
from clipdiff.errors import ConfigError
from clipdiff.files import alone
from clipdiff.losses.make import make_loss
from clipdiff.train.ranks import Ranks
from clipdiff.provenance import settings_hash
from clipdiff.towers.images import load_pictures, read_pictures
from clipdiff.towers.load import LoadedClip, load_clip
from clipdiff.train.checkpoint import Checkpoints
from clipdiff.train.data import TrainingData, fingerprint, read_training_data
from clipdiff.train.engine import make_engine, make_optimizer, start_ranks
from clipdiff.train.export import export
from clipdiff.train.inputs import BatchSource, LoadPictures
from clipdiff.train.loop import Loop
from clipdiff.train.preemption import Preemption
from clipdiff.train.step import Stepper
from clipdiff.train.towers import TrainedTowers, frozen_text_embeds, trained_state

log = logging.getLogger(__name__)


def train(
    settings: TrainSettings,
    captions: Path,
    embeds: Path,
    differences: Path,
    output: Path,
    checkpoints: Path,
) -> None:
    """Finetune the CLIP on one row's texts; run again after a kill, it goes on to the same end.

    Args:
        settings: the cell, its CLIP, loss and training settings.
        captions: ``data/captions.parquet``; read where the image tower trains, or where the number
            of pictures is limited.
        embeds: ``embeds/image_embeds.safetensors``.
        differences: ``differences/{llm}.parquet``.
        output: folder to export to, ``models/{llm}/{loss}/seed{seed}``.
        checkpoints: folder of checkpoints and TensorBoard events, kept beside the outputs.

    Raises:
        DataError, ModelError, ConfigError: an input is missing or does not fit.
        TrainingError: a loss is not finite, or the machine can't run the precision.
        SystemExit: SIGTERM, SIGUSR1 or the end of the job's time came; a checkpoint is saved.
    """
    torch.set_num_threads(settings.train.threads)
    torch.manual_seed(settings.seed)
    ranks, device = start_ranks()
    _check_ranks(settings, ranks)
    clip = load_clip(settings.clip, device)
    data = read_training_data(clip, settings.train, captions, embeds, differences)
    log.info(
        "%d pairs of %d pictures, texts of %d tokens at most",
        *(len(data.pair_index), len(data.image_ids), data.tokens.shape[1]),
    )
    state = {name: value.cpu().clone() for name, value in clip.model.state_dict().items()}
    shown = settings.train.trains_images or settings.train.images is not None
    inputs = [embeds, differences, *([captions] if shown else [])]
    identity = f"{settings_hash(settings)}-{fingerprint(inputs)}"
    with alone(checkpoints) if ranks.rank == 0 else nullcontext():
        kept = Checkpoints(checkpoints, identity, settings.train.keep_checkpoints, ranks)
        stepper, towers = _make_stepper(settings, clip, data, captions, ranks, device)
        leaving, events = Preemption(ranks, device), checkpoints / "tensorboard"
        loop = Loop(settings.train, settings.seed, data.lengths, stepper, kept, leaving, events)
        rows = loop.run()
    state |= trained_state(towers)
    if ranks.rank == 0:
        export(output, settings, clip, state, rows)
        log.info("%s: exported, loss %.4f", output, rows[-1]["loss"])
    ranks.barrier()


def _make_stepper(
    settings: TrainSettings,
    clip: LoadedClip,
    data: TrainingData,
    captions: Path,
    ranks: Ranks,
    device: torch.device,
) -> tuple[Stepper, TrainedTowers]:
    """Put towers, loss, data and engine together."""
    trainable = settings.train.trainable
    text_embeds = frozen_text_embeds(clip, data.tokens) if trainable == "image" else None
    load = _picture_loader(clip, captions, data) if settings.train.trains_images else None
    source = BatchSource(
        data,
        ranks,
        device,
        settings.train.micro_batch,
        settings.loss.mask_duplicates,
        trains_text=text_embeds is None,
        load_pictures=load,
    )
    towers = TrainedTowers(clip, trainable)
    engine = make_engine(towers, settings.train)
    loss = make_loss(settings.loss).to(device)
    optimizer = _loss_optimizer(loss, settings)
    return Stepper(engine, loss, source, text_embeds, ranks, optimizer), towers


def _loss_optimizer(loss: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer | None:
    """Return an optimizer of the loss's own parameters, without weight decay, if it has any."""
    if not any(each.requires_grad for each in loss.parameters()):
        return None
    optimizer = make_optimizer(loss, settings.train.model_copy(update={"weight_decay": 0.0}))
    if settings.loss.logit_scale_lr is not None:  # a rate for weights hardly moves a 25
        for group in optimizer.param_groups:
            group["of_lr"] = settings.loss.logit_scale_lr / settings.train.lr
    return optimizer


def _picture_loader(clip: LoadedClip, captions: Path, data: TrainingData) -> LoadPictures:
    """Return a function that decodes the pictures of some rows of ``data.image_ids``.

    Raises:
        DataError: the captions table lacks one of them.
    """
    return partial(_load_rows, clip, read_pictures(captions, pd.Series(data.image_ids)))


def _load_rows(clip: LoadedClip, pictures: pd.DataFrame, rows: Tensor) -> Tensor:
    return load_pictures(clip, pictures.iloc[rows.numpy()])


def _check_ranks(settings: TrainSettings, ranks: Ranks) -> None:
    if ranks.size != settings.train.ranks:
        raise ConfigError(
            f"train.ranks: {settings.train.ranks}, but {ranks.size} processes were started; start "
            f"as many (torchrun --nproc-per-node={settings.train.ranks}) or change the setting"
        )
