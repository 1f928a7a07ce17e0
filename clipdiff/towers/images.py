"""Reading and decoding images, and embedding them by a CLIP's image tower."""

import io
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn.functional import normalize

from clipdiff.errors import DataError
from clipdiff.files import read_parquet
from clipdiff.towers.load import LoadedClip


def read_images(captions: Path, image_ids: pd.Series) -> pd.DataFrame:
    """Read some images of the captions table, still encoded; the others stay on the disk.

    Args:
        captions: ``data/captions.parquet``.
        image_ids: (n,) distinct ids.

    Returns:
        The columns ``image_id``, ``image`` and ``path``, with the order and index of ``image_ids``.

    Raises:
        DataError: the table is missing or truncated, or lacks one of them.
    """
    ids = image_ids.tolist()
    span = [("image_id", ">=", min(ids)), ("image_id", "<=", max(ids))]  # skips parts of the file
    filters = [*span, ("image_id", "in", ids)]
    table = read_parquet(captions, ("image_id", "image", "path"), optional=(), filters=filters)
    places = pd.Index(table["image_id"]).get_indexer(ids)
    if (places < 0).any():
        absent = ids[int((places < 0).argmax())]
        raise DataError(f"{captions}: no image has image_id {absent}; run `clipdiff prepare`")
    return table.iloc[places].set_axis(image_ids.index)


def load_images(clip: LoadedClip, images: pd.DataFrame) -> Tensor:
    """Decode and preprocess images.

    Args:
        clip: whose preprocessing to apply.
        images: rows of the captions table, with ``image_id``, ``image`` (PNG or JPEG bytes) and
            ``path``, one of the two set.

    Returns:
        (n, 3, H, W) float32, in the order of the rows.

    Raises:
        DataError: an image is missing or unreadable; names its row and image id.
    """
    return torch.stack([clip.preprocess(image) for image in open_images(images)])


def open_images(images: pd.DataFrame) -> Iterator[Image.Image]:
    """Decode the same images one by one, as RGB at their own size.

    Raises:
        DataError: an image is missing or unreadable; names its row and image id.
    """
    columns = (images.index, images["image_id"], images["image"], images["path"])
    for row in zip(*columns, strict=True):
        yield _decode(*row)


def embed_images(clip: LoadedClip, captions: Path, image_ids: pd.Series, batch: int) -> Tensor:
    """Embed images, ``batch`` at once.

    Args:
        clip: the model, in eval mode.
        captions: ``data/captions.parquet``.
        image_ids: (n,) distinct ids of its images, by its row.
        batch: images read, decoded and embedded at once.

    Returns:
        image_embeds (n, D) float32, L2-normalised, on the CPU, in the order of the rows.

    Raises:
        DataError: an image is missing or unreadable; names its row and image id.
    """
    return torch.cat(list(embed_batches(clip, captions, image_ids, batch)))


def embed_batches(
    clip: LoadedClip, captions: Path, image_ids: pd.Series, batch: int
) -> Iterator[Tensor]:
    """Yield the same image_embeds, (batch, D) at a time, for a caller that shows progress."""
    for start in range(0, len(image_ids), batch):
        part = read_images(captions, image_ids.iloc[start : start + batch])
        yield embed_pixels(clip, load_images(clip, part))


@torch.inference_mode()
def embed_pixels(clip: LoadedClip, images: Tensor) -> Tensor:
    """Return image_embeds (n, D) of preprocessed images (n, 3, H, W), likewise."""
    return normalize(clip.model.encode_image(images.to(clip.device)).float(), dim=1).cpu()


def _decode(row: int, image_id: int, data: bytes | None, path: str | None) -> Image.Image:
    where = f"captions table, row {row}, image_id {image_id}"
    if isinstance(data, bytes):
        source: io.BytesIO | str = io.BytesIO(data)
        what = f"its {len(data)} bytes are"
    elif isinstance(path, str):
        source, what = path, f"{path} is"
    else:
        raise DataError(f"{where}: no image; one of the columns image and path must be set")
    try:
        with Image.open(source) as image:
            return image.convert("RGB")
    except FileNotFoundError as error:
        raise DataError(f"{where}: no such image: {path}") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{where}: {what} not a readable image ({error})") from error
