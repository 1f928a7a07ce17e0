"""Model folders as ``save_pretrained`` writes them, looked at without loading them."""

from pathlib import Path

from clipdiff.errors import ModelError


def looks_like_path(name: str) -> bool:
    """Whether a model's name is a path, not the hub's ``ORG/NAME`` or ``NAME``."""
    return "/" in name and (name.startswith(("/", ".")) or name.count("/") != 1)


def check_folder(name: str) -> None:
    """Refuse a path that is no model folder, before the hub is asked for it.

    Raises:
        ModelError: it looks like a path and is no folder, or lacks ``config.json``.
    """
    path = Path(name)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"{path}: not a model folder, it lacks config.json (save_pretrained)")
    elif path.exists() or looks_like_path(name):
        raise ModelError(f"{path}: no such folder; correct llm_definitions.*.model")
