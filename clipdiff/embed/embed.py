"""Stage ``embed``: every image through the image tower, once per CLIP model."""

import logging
from pathlib import Path

import torch

from clipdiff.config.stages import EmbedSettings
from clipdiff.errors import DataError
from clipdiff.files import read_parquet, write_tensors
from clipdiff.progress import Progress
from clipdiff.towers.images import embed_batches
from clipdiff.towers.load import load_clip

log = logging.getLogger(__name__)


def embed(settings: EmbedSettings, captions: Path, output: Path) -> None:
    """Write ``image_embeds`` (M, D) float32, L2-normalised, and ``image_ids`` (M,) int64.

    Args:
        settings: the CLIP, and how many images it embeds at once.
        captions: ``data/captions.parquet``.
        output: safetensors file to write.

    Raises:
        DataError: the table is missing or truncated, or an image unreadable (names its row).
        ModelError: the CLIP can't be loaded.
    """
    image_ids = read_parquet(captions, ("image_id",), optional=())["image_id"]
    if not len(image_ids):
        raise DataError(f"{captions}: no rows; run `clipdiff prepare` again")
    clip = load_clip(settings.clip)
    parts = []
    with Progress("images embedded", len(image_ids)) as progress:
        for image_embeds in embed_batches(clip, captions, image_ids, settings.clip.batch):
            parts.append(image_embeds)
            progress.advance(len(image_embeds))
    ids = torch.tensor(image_ids.to_numpy(copy=True), dtype=torch.int64)
    image_embeds = torch.cat(parts)
    write_tensors(output, {"image_embeds": image_embeds, "image_ids": ids})
    log.info("%d images embedded, width %d, by %s", *image_embeds.shape, settings.clip.model)
