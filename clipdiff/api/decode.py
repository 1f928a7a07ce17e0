"""Images and texts as notebooks have them, one or several."""

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
    if not isinstance(several, Iterable):
        raise DataError(f"images: got {type(several).__name__}; expected images, or one")
    for place, image in enumerate(several):
        yield _decode(image, f"image {place}")


def listed_texts(texts: str | Iterable[str]) -> list[str]:
    """Return one text or several as a list.

    Raises:
        DataError: one is no text; names its place.
    """
    if not isinstance(texts, Iterable):
        raise DataError(f"texts: got {type(texts).__name__}; expected texts, or one")
    several = [texts] if isinstance(texts, str) else list(texts)
    for place, text in enumerate(several):
        if not isinstance(text, str):
            raise DataError(f"text {place}: got {type(text).__name__}; expected a str")
    return several


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
