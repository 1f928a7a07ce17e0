"""Models that ship with the package, as ``demo:NAME`` in a configuration, wherever it lies."""

from pathlib import Path

from clipdiff.errors import ConfigError, did_you_mean

ASSETS = Path(__file__).parent / "demo/assets"
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
