"""One image of a data set and where it is named, before it is drawn, decoded or checked."""

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from clipdiff.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""What names of image files end with."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of a data set; ``listing`` and ``row`` say where it is named.

    ``image`` gives the encoded image: it is called for those that are kept, after all are drawn.
    """

    split: str
    listing: Path
    row: int
    path: str | None = None
    image: Callable[[], bytes] | None = None
    caption: str | None = None
    label: str | None = None
    attributes: Mapping[str, str | int] | None = None


def table_of(records: Iterable[ImageRecord]) -> "pd.DataFrame":
    """Return records as a table, one column a field."""
    import pandas as pd

    names = [field.name for field in fields(ImageRecord)]
    columns = zip(*([getattr(each, name) for name in names] for each in records), strict=True)
    return pd.DataFrame(dict(zip(names, columns, strict=False)), columns=names, dtype=object)


def check_image(path: Path | str | None, where: str, data: bytes | None = None) -> None:
    """Refuse an image that can't be read; only its header and structure are looked at.

    Args:
        path: where it lies; not looked at where ``data`` is given.
        where: file and row that name it, for the error.
        data: the encoded image.

    Raises:
        DataError: it is missing or unreadable.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data) if data is not None else str(path)) as image:
            image.verify()
    except FileNotFoundError as error:
        raise DataError(f"{where}: no such image: {path}") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        what = path if data is None else f"what it holds ({len(data)} bytes)"
        raise DataError(f"{where}: {what} is not a readable image ({error})") from error
