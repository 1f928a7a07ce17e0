"""Stage ``train``: one cell, from texts and embeddings to an exported model."""

import logging
from contextlib import nullcontext
from pathlib import Path

import torch

from clipdiff.config.stages import TrainSettings
from clipdiff.files import alone
from clipdiff.provenance import LossKernels
from clipdiff.towers.load import load_clip
from clipdiff.train.assembly import make_stepper
from clipdiff.train.batches import epoch_batches
from clipdiff.train.checkpoint import Checkpoints
from clipdiff.train.engine import start_ranks
from clipdiff.train.identity import checkpoint_identity
from clipdiff.train.loop import Loop
from clipdiff.train.model_folder import write_model
from clipdiff.train.preemption import Preemption
from clipdiff.train.step import Stepper
from clipdiff.train.towers import trained_state
from clipdiff.train.training_data import TrainingData, read_training_data

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
            of images is limited.
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
    ranks, device = start_ranks(settings.train.ranks)
    clip = load_clip(settings.clip, device)
    data = read_training_data(clip, settings.train, captions, embeds, differences)
    log.info("%s", data)
    state = {name: value.cpu().clone() for name, value in clip.model.state_dict().items()}
    identity = checkpoint_identity(settings, captions, embeds, differences)
    with alone(checkpoints) if ranks.rank == 0 else nullcontext():
        saved = Checkpoints(checkpoints, identity, settings.train, ranks)
        stepper, towers = make_stepper(settings, clip, data, captions, ranks, device)
        kernels = _loss_kernels(stepper, data, settings)
        if kernels is not None and ranks.rank == 0:
            log.info("loss kernels: %s", kernels)
        leaving, events = Preemption(ranks, device), checkpoints / "tensorboard"
        loop = Loop(settings.train, settings.seed, data.lengths, stepper, saved, leaving, events)
        rows = loop.run()
    state |= trained_state(towers)
    if ranks.rank == 0:
        write_model(output, settings, clip, state, rows, kernels)
        log.info("%s: exported, loss %.4f", output, rows[-1]["loss"])
    ranks.barrier()


def _loss_kernels(
    stepper: Stepper, data: TrainingData, settings: TrainSettings
) -> LossKernels | None:
    """Return what computes the loss of the first batch of all, wherever a run goes on from."""
    first = epoch_batches(data.lengths, settings.train.batch, settings.seed, 0)[0]
    choice = stepper.choose_backend(first)
    return None if choice is None else LossKernels(**choice._asdict())
