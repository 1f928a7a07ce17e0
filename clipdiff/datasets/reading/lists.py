"""Reading the list files of data sets, with errors that name file and row."""

from pathlib import Path

from clipdiff.errors import DataError


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, stripped; blank lines at the end do not count.

    Raises:
        DataError: it is missing or not text.
    """
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").rstrip().splitlines()]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; `clipdiff data check` lists what is needed") from (
            error
        )
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file ({error}); unpack its archive again") from error


def read_numbered(path: Path) -> dict[int, str]:
    """Return the lines ``number text`` of a file as text by number.

    Raises:
        DataError: a line is not of that form, or a number occurs twice (names the row).
    """
    texts: dict[int, str] = {}
    for row, line in enumerate(read_lines(path)):
        number, _, text = line.partition(" ") if " " in line else line.partition("\t")
        if not number.strip().isdigit() or not text.strip():
            raise DataError(f"{path}, row {row}: got {line!r}, expected a number and a text")
        if int(number) in texts:
            raise DataError(f"{path}, row {row}: number {int(number)} stands there twice")
        texts[int(number)] = text.strip()
    return texts


def read_flags(path: Path, images: dict[int, str]) -> dict[int, int]:
    """Return the lines ``number value`` of a file as integers by number.

    Raises:
        DataError: a value is no integer, or the numbers are not those of ``images``.
    """
    values = read_numbered(path)
    if set(values) != set(images):
        raise DataError(
            f"{path}: {len(values)} rows, {len(set(images) - set(values))} of {len(images)} listed "
            "images lack one; unpack its archive again"
        )
    for row, value in enumerate(values.values()):
        if not value.isdigit():
            raise DataError(f"{path}, row {row}: got {value!r}, expected a whole number")
    return {number: int(value) for number, value in values.items()}


def same_count(path: Path, got: int, what: str, expected: int) -> None:
    """Refuse a file that does not have as many rows as it must.

    Raises:
        DataError: it has more or fewer.
    """
    if got != expected:
        raise DataError(f"{path}: {got} rows, expected {expected}, {what}; unpack it again")


def readable(name: str) -> str:
    """Return a class name in words: ``apple_pie``, ``grizzly+bear``, ``a/b`` lose their signs."""
    return " ".join(name.replace("_", " ").replace("+", " ").replace("/", " ").split())
