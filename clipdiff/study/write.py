"""Writing a study's files, or none of them."""

import os
from pathlib import Path
from string import Template

from clipdiff import __version__, workflow
from clipdiff.config.schema import SCHEMA
from clipdiff.errors import ConfigError, did_you_mean
from clipdiff.files import written_whole
from clipdiff.study.presets import PRESETS, Preset

TEMPLATE = Path(__file__).with_name("template")
PROFILES = ("profiles/README.md", "profiles/local/config.yaml", "profiles/slurm/config.yaml")
LINK, TARGET = "slurm", "profiles/slurm"  # a bare `--profile slurm` is looked up in the folder


def study_files(name: str, preset: str) -> dict[str, str]:
    """Return the text of each file of a study, by its path in the folder.

    Args:
        name: of the study, for its README.
        preset: one of ``PRESETS``.

    Raises:
        ConfigError: there is no such preset.
    """
    if preset not in PRESETS:
        hint = did_you_mean(preset, PRESETS)
        raise ConfigError(f"--preset: got '{preset}', allowed: {', '.join(PRESETS)}{hint}")
    start = PRESETS[preset]
    words = {
        "name": name,
        "preset": preset,
        "version": __version__,
        "about": start.about,
        "run": start.run,
        "first": start.first,
    }
    files = {
        "README.md": _filled("README.md", words),
        "Snakefile": _filled("Snakefile", words),
        ".gitignore": _filled("gitignore", words),
        "config.yaml": _filled("config_header.yaml", words) + _settings(start),
        "config.schema.json": SCHEMA.read_text(),
    }
    return files | {path: (workflow.FOLDER / path).read_text() for path in PROFILES}


def write_study(folder: Path, preset: str) -> list[str]:
    """Write a study into a folder, which may have other files; return the paths that it wrote.

    Raises:
        ConfigError: there is no such preset, or a file of the study is there already: then nothing
            is written.
    """
    files = study_files(folder.resolve().name, preset)
    paths = [*files, LINK]
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: a file; name a folder")
    if there := [path for path in paths if os.path.lexists(folder / path)]:
        raise ConfigError(
            f"{folder}: has {', '.join(there)} already, and init overwrites nothing; name another "
            "folder, or move these away"
        )
    for path, text in files.items():
        with written_whole(folder / path) as scratch:
            scratch.write_text(text)
    (folder / LINK).symlink_to(TARGET)
    return paths


def _filled(name: str, words: dict[str, str]) -> str:
    return Template((TEMPLATE / name).read_text()).substitute(words)


def _settings(start: Preset) -> str:
    """Return a packaged configuration without its first comments, which speak of a checkout."""
    lines = (workflow.FOLDER / start.config).read_text().splitlines(keepends=True)
    first = next(row for row, line in enumerate(lines) if not line.startswith("#"))
    return "".join(lines[first:])
