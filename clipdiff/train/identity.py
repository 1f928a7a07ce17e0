"""What a checkpoint has to agree on with the training that goes on from it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from clipdiff.config.stages import TrainSettings
from clipdiff.errors import DataError
from clipdiff.provenance import settings_hash


def checkpoint_identity(
    settings: TrainSettings, captions: Path, embeds: Path, differences: Path
) -> str:
    """Return a hash of what decides the numbers of a training, and of the files that it reads.

    Args:
        settings: of the cell; how it is computed has no part in it.
        captions, embeds, differences: as ``train`` takes them.
    """
    train = settings.train
    reads_captions = train.trains_images or train.images is not None
    files = [embeds, differences, *([captions] if reads_captions else [])]
    return f"{settings_hash(settings)}-{fingerprint(files)}"


def fingerprint(paths: Sequence[Path]) -> str:
    """Return a SHA-256 over the contents of files, 16 hex digits.

    Raises:
        DataError: one is missing.
    """
    total = hashlib.sha256()
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: no such file; run the stage that makes it")
        with open(path, "rb") as handle:
            total.update(hashlib.file_digest(handle, "sha256").digest())
    return total.hexdigest()[:16]
