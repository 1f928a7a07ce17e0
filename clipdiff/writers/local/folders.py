"""Model folders as ``save_pretrained`` writes them, looked at without loading them."""

from pathlib import Path

from clipdiff.errors import ModelError


def check_folder(name: str) -> None:
    """Refuse a path that is no model folder, before the hub is asked for it.

    Raises:
        ModelError: it looks like a path and is no folder, or lacks ``config.json``.
    """
    path = Path(name)
    looks_like_path = path.is_absolute() or name.startswith(".") or name.count("/") != 1
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"{path}: not a model folder, it lacks config.json (save_pretrained)")
    elif path.exists() or (looks_like_path and "/" in name):
        raise ModelError(f"{path}: no such folder; correct llm_definitions.*.model")


def weights_fingerprint(model: str) -> list[list[str | int]]:
    """Return name, size and time of a local model's files, so that retraining it is noticed.

    Empty for hub names: their ``revision`` says which weights are meant.
    """
    folder = Path(model)
    if not folder.is_dir():
        return []
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
