"""Images as notebooks have them: paths, PIL images, or the bytes of image files."""

import io
from collections.abc import Iterable, Iterator
from os import PathLike, fspath

from PIL import Image, UnidentifiedImageError

from clipdiff.errors import DataError

AnyImage = str | PathLike[str] | bytes | Image.Image


def open_images(images: AnyImage | Iterable[AnyImage]) -> Iterator[Image.Image]:
    """Decode images one by one, as RGB at their own size.

    Args:
        images: several, or one.

    Raises:
        DataError: one is missing, unreadable, or none of these types; names its place.
    """
    several = [images] if isinstance(images, str | bytes | PathLike | Image.Image) else images
    for place, image in enumerate(several):
        yield _decode(image, f"image {place}")


def _decode(image: AnyImage, where: str) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    if not isinstance(image, str | bytes | PathLike):
        kind = type(image).__name__
        raise DataError(f"{where}: got {kind}; expected a path, a PIL image, or the bytes of one")
    try:
        with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as file:
            return file.convert("RGB")
    except FileNotFoundError as error:
        raise DataError(f"{where}: no such file: {error.filename}") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        what = f"its {len(image)} bytes are" if isinstance(image, bytes) else f"{fspath(image)} is"
        raise DataError(f"{where}: {what} no readable image ({type(error).__name__})") from error
