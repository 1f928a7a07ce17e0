"""Decoding pictures and embedding them by a CLIP's image tower."""

import io
from collections.abc import Iterator

import pandas as pd
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn.functional import normalize

from clipdiff.errors import DataError
from clipdiff.towers.load import LoadedClip


def load_pictures(clip: LoadedClip, pictures: pd.DataFrame) -> Tensor:
    """Decode and preprocess pictures.

    Args:
        clip: whose preprocessing to apply.
        pictures: rows of the captions table, with ``image_id``, ``image`` (PNG or JPEG bytes) and
            ``path``, one of the two set.

    Returns:
        (n, 3, H, W) float32, in the order of the rows.

    Raises:
        DataError: a picture is missing or unreadable; names its row and image id.
    """
    return torch.stack([clip.preprocess(picture) for picture in open_pictures(pictures)])


def open_pictures(pictures: pd.DataFrame) -> Iterator[Image.Image]:
    """Decode the same pictures one by one, as RGB and in their own size.

    Raises:
        DataError: a picture is missing or unreadable; names its row and image id.
    """
    columns = (pictures.index, pictures["image_id"], pictures["image"], pictures["path"])
    for row in zip(*columns, strict=True):
        yield _decode(*row)


def embed_images(clip: LoadedClip, pictures: pd.DataFrame, batch: int) -> Tensor:
    """Embed pictures, ``batch`` at once.

    Args:
        clip: the model, in eval mode.
        pictures: n rows of the captions table, with ``image_id``, ``image`` and ``path``.
        batch: pictures decoded and embedded at once.

    Returns:
        image_embeds (n, D) float32, L2-normalised, on the CPU, in the order of the rows.

    Raises:
        DataError: a picture is missing or unreadable; names its row and image id.
    """
    return torch.cat(list(embed_batches(clip, pictures, batch)))


def embed_batches(clip: LoadedClip, pictures: pd.DataFrame, batch: int) -> Iterator[Tensor]:
    """Yield the same image_embeds, (batch, D) at a time, for a caller that shows progress."""
    for start in range(0, len(pictures), batch):
        yield embed_pictures(clip, load_pictures(clip, pictures.iloc[start : start + batch]))


@torch.inference_mode()
def embed_pictures(clip: LoadedClip, pictures: Tensor) -> Tensor:
    """Return image_embeds (n, D) of preprocessed pictures (n, 3, H, W), likewise."""
    return normalize(clip.model.encode_image(pictures.to(clip.device)).float(), dim=1).cpu()


def _decode(row: int, image_id: int, data: bytes | None, path: str | None) -> Image.Image:
    held = isinstance(data, bytes)
    where = f"captions table, row {row}, image_id {image_id}"
    if not held and not isinstance(path, str):
        raise DataError(f"{where}: no picture; one of the columns image and path must be set")
    try:
        with Image.open(io.BytesIO(data) if held else path) as picture:
            return picture.convert("RGB")
    except FileNotFoundError as error:
        raise DataError(f"{where}: no such picture: {path}") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        what = f"its {len(data)} bytes are" if held else f"{path} is"
        raise DataError(f"{where}: {what} not a readable picture ({error})") from error
