"""What a model's files hold: their SHA-256, so that copying or touching them changes nothing."""

import hashlib
from pathlib import Path

LISTING, SUFFIX = "SHA256SUMS", ".sha256"  # as sha256sum writes them
DIGITS = 64


def content_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a model folder, by name.

    A sum that stands beside a file is believed if it was written after the last change of the file
    (``sha256sum * > SHA256SUMS`` saves hashing many gigabytes in every job). Hidden files, notes
    (``*.md``) and the sums themselves are no part of the model.

    Args:
        folder: as ``save_pretrained`` or the hub's client write it.
    """
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    return {path.name: sha256(path) for path in files if _is_model(path)}


def sha256(file: Path) -> str:
    """Return a file's SHA-256, 64 hex digits: the sum beside it if that is newer, else hashed."""
    digits = _own_sum(file) or _listed_sum(file, "") or _listed_sum(file, f"{file.parent.name}/")
    if digits:
        return digits
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _is_model(file: Path) -> bool:
    if file.name.startswith(".") or file.name == LISTING:
        return False
    return file.suffix not in (SUFFIX, ".md")


def _own_sum(file: Path) -> str | None:
    """Read ``<file>.sha256``: the digits, with or without the name after them."""
    beside = file.with_name(file.name + SUFFIX)
    words = beside.read_text().split() if _is_newer(beside, file) else []
    return _digits(words[0]) if words else None


def _listed_sum(file: Path, folder: str) -> str | None:
    """Look a file up in the ``SHA256SUMS`` of its folder (``""``) or of the parent (its name)."""
    listing = (file.parent.parent if folder else file.parent) / LISTING
    if not _is_newer(listing, file):
        return None
    for line in listing.read_text().splitlines():
        digits, _, name = line.partition(" ")
        if name.lstrip(" *").removeprefix("./") == folder + file.name:
            return _digits(digits)
    return None


def _is_newer(sums: Path, file: Path) -> bool:
    """Whether sums were written after a file changed, or was put there with an older date."""
    if not sums.is_file():
        return False
    there = file.stat()
    return sums.stat().st_mtime_ns > max(there.st_mtime_ns, there.st_ctime_ns)


def _digits(text: str) -> str | None:
    is_sum = len(text) == DIGITS and all(digit in "0123456789abcdef" for digit in text.lower())
    return text.lower() if is_sum else None
