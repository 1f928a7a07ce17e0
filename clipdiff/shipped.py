"""Models that ship with the package, as ``demo:NAME`` in a configuration, wherever it lies."""

import hashlib
from pathlib import Path

from clipdiff.errors import ConfigError, did_you_mean

ASSETS = Path(__file__).parent / "demo/assets"
SUMS = ASSETS / "SHA256SUMS"
SCHEME = "demo:"


def path_of(name: str) -> str:
    """Return the folder of ``demo:NAME``; any other name as it is.

    Raises:
        ConfigError: no model of that name is shipped.
    """
    if not name.startswith(SCHEME):
        return name
    folder = ASSETS / name.removeprefix(SCHEME)
    if not (folder / "tokenizer.json").is_file():
        shipped = sorted(path.parent.name for path in ASSETS.glob("*/tokenizer.json"))
        hint = did_you_mean(folder.name, shipped)
        raise ConfigError(f"{name}: no such model is shipped; allowed: {', '.join(shipped)}{hint}")
    return str(folder)


def damage() -> list[str]:
    """Return the shipped files that are missing, or not as their checksums say."""
    lines = [line.split() for line in SUMS.read_text().splitlines()]
    return [name for digest, name in lines if checksum(ASSETS / name) != digest]


def checksum(path: Path) -> str | None:
    """Return the SHA-256 of a file, None without one."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
