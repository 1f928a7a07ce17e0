"""What ``clipdiff check`` looks at: models, data, and this machine."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from clipdiff.config import Config
from clipdiff.config.entries import asked_llm, train_of, writer
from clipdiff.datasets.base import DatasetEntry
from clipdiff.grid import Row
from clipdiff.grid.layout import CLIP_CONFIG
from clipdiff.provenance import LIBRARIES, gpu_names, installed_version
from clipdiff.writers.base import Finding

FOLDER = "local-dir:"  # as open_clip names one
LEAST_FREE = 2  # GiB


def model_findings(config: Config) -> Iterator[Finding]:
    """Yield whether the CLIPs, and the LLMs that the grid asks, are in place."""
    for section, clip in (("clip", config.clip), ("reference_clip", config.reference_clip)):
        name = clip.open_clip_name
        if name.startswith(FOLDER):
            there = (Path(name.removeprefix(FOLDER)) / CLIP_CONFIG).is_file()
            yield there, f"{section}: open_clip folder {clip.model.removeprefix(FOLDER)}"
        else:
            named = f"{section}: {clip.model} ({clip.pretrained})"
            yield True, f"{named}, fetched by open_clip if absent"
    names = [*config.llms, config.controls.llm, writer(config)]
    for name in dict.fromkeys(filter(None, (asked_llm(config, Row(each)) for each in names))):
        for fine, text in config.llm_definitions[name].findings():
            yield fine, f"llm_definitions.{name}: {text}"


def data_sets(config: Config) -> list[tuple[DatasetEntry, list[str]]]:
    """Return each data set once, with the dotted keys that name it."""
    section = config.data
    where = next((name for name in ("table", "root") if getattr(section, name)), "source")
    entries = {f"data.{where}": section.training_set()}
    entries |= {f"data.evaluation.{name}": entry for name, entry in section.evaluation.items()}
    sets: dict[str, tuple[DatasetEntry, list[str]]] = {}
    for key, entry in entries.items():
        sets.setdefault(entry.model_dump_json(), (entry, []))[1].append(key)
    return list(sets.values())


def data_findings(config: Config) -> Iterator[Finding]:
    """Yield for each data set whether it is in place, and what a user has to know about it."""
    for entry, keys in data_sets(config):
        yield from set_findings(entry, keys)


def set_findings(entry: DatasetEntry, keys: list[str]) -> Iterator[Finding]:
    """Yield the same for one data set, under the keys that name it."""
    for fine, text in entry.findings():
        yield fine, f"{', '.join(keys)}: {text}"


def machine_findings(config: Config, results: Path) -> Iterator[Finding]:
    """Yield whether libraries, disk and GPUs are what the configuration needs.

    Args:
        config: the configuration.
        results: folder of the results; it need not be there yet.
    """
    for name in LIBRARIES:
        version = installed_version(name)
        yield version is not None, f"python package {name} {version or ''}"
    parent = next(path for path in [results.resolve(), *results.resolve().parents] if path.exists())
    yield os.access(parent, os.W_OK), f"results: {parent} can be written"
    free = shutil.disk_usage(parent).free / 2**30
    yield free > LEAST_FREE, f"results: {free:.0f} GiB free"
    gpus = gpu_names()
    for precision in sorted({train_of(config, loss).precision for loss in config.losses}):
        fits = bool(gpus) or precision == "fp32"
        yield fits, f"train.precision: {precision} on {gpus or 'the CPU'}"
