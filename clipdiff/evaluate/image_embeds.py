"""The pictures' side of an evaluation: cached embeddings, found by image id."""

from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from clipdiff.errors import DataError
from clipdiff.files import read_tensors


def read_image_embeds(path: Path, wanted: np.ndarray) -> Tensor:
    """Return cached image_embeds (n, D) float32 of some pictures.

    Args:
        path: ``embeds/image_embeds.safetensors``.
        wanted: (n,) int64 image ids.

    Raises:
        DataError: the file is missing, truncated or foreign, or lacks a picture.
    """
    tensors = read_tensors(path)
    if set(tensors) != {"image_embeds", "image_ids"}:
        raise DataError(
            f"{path}: holds {sorted(tensors)}, expected image_embeds and image_ids; delete it and "
            "run `clipdiff embed` again"
        )
    places = pd.Index(tensors["image_ids"].numpy()).get_indexer(wanted)
    lacking = wanted[places < 0]
    if len(lacking):
        raise DataError(
            f"{path}: no embedding of {len(lacking)} evaluated pictures, first image_id "
            f"{lacking[0]}; delete it and run `clipdiff embed` again"
        )
    return tensors["image_embeds"][places].float()
