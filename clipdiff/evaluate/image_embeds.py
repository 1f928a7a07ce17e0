"""The images' side of an evaluation: cached embeddings, looked up by image id."""

from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from clipdiff.errors import DataError
from clipdiff.files import read_tensors


def read_image_embeds(path: Path, image_ids: np.ndarray) -> Tensor:
    """Return cached image_embeds (n, D) float32 of some images.

    Args:
        path: ``embeds/image_embeds.safetensors``.
        image_ids: (n,) int64.

    Raises:
        DataError: the file is missing, truncated or foreign, or lacks an image.
    """
    tensors = read_tensors(path)
    if set(tensors) != {"image_embeds", "image_ids"}:
        raise DataError(
            f"{path}: holds {sorted(tensors)}, expected image_embeds and image_ids; delete it and "
            "run `clipdiff embed` again"
        )
    places = pd.Index(tensors["image_ids"].numpy()).get_indexer(image_ids)
    missing = image_ids[places < 0]
    if len(missing):
        raise DataError(
            f"{path}: no embedding of {len(missing)} evaluated images, first image_id "
            f"{missing[0]}; delete it and run `clipdiff embed` again"
        )
    return tensors["image_embeds"][places].float()
