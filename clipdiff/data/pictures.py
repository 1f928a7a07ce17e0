"""Looking at pictures before a run does."""

import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from clipdiff.errors import DataError


def check_picture(path: Path | str | None, where: str, data: bytes | None = None) -> None:
    """Refuse a picture that can't be read; only its header and structure are looked at.

    Args:
        path: where it lies; not looked at where ``data`` is given.
        where: file and row that name it, for the error.
        data: the picture itself.

    Raises:
        DataError: it is missing or unreadable.
    """
    try:
        with Image.open(path if data is None else io.BytesIO(data)) as picture:
            picture.verify()
    except FileNotFoundError as error:
        raise DataError(f"{where}: no such picture: {path}") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        what = path if data is None else f"what it holds ({len(data)} bytes)"
        raise DataError(f"{where}: {what} is not a readable picture ({error})") from error
