"""The finetuned model as an open_clip folder."""

from pathlib import Path
from typing import Any

import open_clip
from torch import Tensor

from clipdiff.config.stages import TrainSettings
from clipdiff.files import write_json, write_tensors
from clipdiff.grid.layout import CLIP_CONFIG, PROVENANCE, TRAIN_LOG, WEIGHTS
from clipdiff.provenance import LossKernels, provenance
from clipdiff.towers.load import LoadedClip
from clipdiff.train.trackers import write_train_log


def write_model(
    folder: Path,
    settings: TrainSettings,
    clip: LoadedClip,
    state: dict[str, Tensor],
    rows: list[dict[str, Any]],
    loss_kernels: LossKernels | None,
) -> None:
    """Write a cell's folder; the weights come last, so a folder that has them is complete.

    Args:
        folder: ``models/{llm}/{loss}/seed{seed}``.
        settings: of the cell, for its provenance.
        clip: the CLIP that was finetuned, for its configuration and tokenizer.
        state: all weights, fp32, by open_clip's names.
        rows: lines of ``train_log.jsonl``.
        loss_kernels: what computed the loss, if it can say; for the provenance.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).unlink(missing_ok=True)
    save_tokenizer = getattr(clip.tokenizer, "save_pretrained", None)
    if save_tokenizer is not None:  # open_clip's own BPE needs no files
        save_tokenizer(str(folder))
    config = {
        "model_cfg": open_clip.get_model_config(clip.name),
        "preprocess_cfg": clip.model.visual.preprocess_cfg,
    }
    write_json(folder / CLIP_CONFIG, config)
    write_train_log(folder / TRAIN_LOG, rows)
    write_json(folder / PROVENANCE, provenance(settings, loss_kernels))
    write_tensors(folder / WEIGHTS, state)
