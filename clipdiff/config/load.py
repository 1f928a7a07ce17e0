"""Reading and checking a configuration: every fault at once, each with its dotted key."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from clipdiff.config.entries import asked_llm, task_entries, train_of, writer
from clipdiff.config.model import Config
from clipdiff.datasets.base import DATASETS
from clipdiff.errors import ConfigError, did_you_mean
from clipdiff.grid import Row
from clipdiff.grid.cells import is_reserved
from clipdiff.registry import Entries
from clipdiff.settings.base import Section, merge
from clipdiff.tasks.base import TASKS

OWN_SPLITS = ("train", "validation", "test")


def load_config(*paths: Path | str) -> Config:
    """Read YAML files, later ones merged over earlier ones as Snakemake's --configfile does.

    Raises:
        ConfigError: a file is missing or no YAML mapping, or any value is wrong.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            loaded = yaml.safe_load(Path(path).read_text())
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: can't be read as YAML: {error}") from error
        if not isinstance(loaded, dict):
            raise ConfigError(
                f"{path}: expected a mapping of sections, got {type(loaded).__name__}"
            )
        merged = merge(merged, loaded)
    return check_config(merged)


def check_config(values: dict[str, Any]) -> Config:
    """Validate merged configuration values.

    Raises:
        ConfigError: lists every fault with its dotted key, what was got and what is allowed.
    """
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        faults = [_fault(item, values) for item in error.errors()]
        raise ConfigError(_listed(faults + _axis_faults(values))) from error
    faults = _axis_faults(values) + _consistency_faults(config)
    if faults:
        raise ConfigError(_listed(faults))
    return config


def _listed(faults: list[str]) -> str:
    return "\n".join(
        [f"the configuration has {len(faults)} fault(s):", *(f"  {f}" for f in faults)]
    )


def _fault(item: Any, values: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        names = _names_at(item["loc"][:-1], values)
        hint = did_you_mean(str(item["loc"][-1]), names)
        return f"{key}: unknown key{hint}; allowed: {', '.join(names)}"
    if item["type"] == "missing":
        return f"{key}: missing; {item['msg'].lower()}"
    if item["type"] == "literal_error":
        allowed = re.findall(r"'([^']*)'", item["ctx"]["expected"])
        hint = did_you_mean(str(item["input"]), allowed)
        return f"{key}: got {item['input']!r}, allowed: {item['ctx']['expected']}{hint}"
    if item["type"] == "missing_kind":
        kinds = item["ctx"]["kinds"].split(", ")
        return f"{key}.{item['msg']}{did_you_mean(str(item['loc'][-1]), kinds)}"
    if item["type"] in ("unknown_kind", "mapping"):
        return f"{key}.{item['msg']}" if item["type"] != "mapping" else f"{key}: {item['msg']}"
    if item["type"] == "value_error":
        return f"{key}: {item['ctx']['error']}"
    return f"{key}: got {item['input']!r}: {item['msg']}"


def _names_at(loc: tuple[int | str, ...], values: Any) -> list[str]:
    """Return the keys allowed at a location, walking the models beside the values."""
    model: Any = Config
    for part in loc:
        values = values.get(part, {}) if isinstance(values, Mapping) else {}
        if isinstance(model, type) and issubclass(model, Section):
            field = model.model_fields[str(part)]
            model = _held_by(field.annotation, field.metadata)
        else:  # dict[EntryName, ...]
            model = _held_by(get_args(model)[-1], ())
        if isinstance(model, Entries):
            registry = model.registry
            model = registry.of(str(registry.with_kind(values, str(part)).get("kind")))
    return sorted(model.model_fields)


def _held_by(annotation: Any, metadata: Any) -> Any:
    """Return the model of a field, or what tells it of an entry's kind."""
    marks = [*metadata, *getattr(annotation, "__metadata__", ())]
    for mark in marks:
        if isinstance(mark, Entries):
            return mark
    if isinstance(annotation, UnionType):  # Section | None
        return get_args(annotation)[0]
    return annotation


def _axis_faults(values: dict[str, Any]) -> list[str]:
    """Names on a grid axis that have no definition; works on unvalidated values too."""
    faults = []
    for axis, table in (("llms", "llm_definitions"), ("losses", "loss_definitions")):
        names, known = values.get(axis), values.get(table)
        if not isinstance(names, list) or not isinstance(known, dict):
            continue
        for index, name in enumerate(names):
            if name not in known:
                hint = did_you_mean(str(name), known)
                faults.append(
                    f"{axis}.{index}: got '{name}', allowed: {', '.join(known)} "
                    f"(defined in {table}){hint}"
                )
        if len(set(map(str, names))) != len(names):
            faults.append(f"{axis}: got {names}, expected each name once")
    return faults


def _control_faults(config: Config) -> Iterator[str]:
    entries, name = config.llm_definitions, config.controls.llm
    if not config.controls.rows:
        return
    if name not in entries:
        hint = did_you_mean(name, entries)
        yield f"controls.llm: got '{name}', allowed: {', '.join(entries)}{hint}"
        return
    name = str(asked_llm(config, Row(name)))
    if "rewritten" in config.controls.rows and not entries[name].rewrites:
        able = [each for each, entry in entries.items() if entry.rewrites]
        yield (
            f"controls.llm: '{name}' is of kind '{entries[name].kind}', which can't rewrite "
            f"captions; name another ({', '.join(able) or 'none can'}), or drop 'rewritten' from "
            "controls.rows"
        )


def _reuse_faults(config: Config) -> Iterator[str]:
    entries = config.llm_definitions
    allowed = [name for name, entry in entries.items() if entry.answers_of is None]
    for name, entry in entries.items():
        source = entry.answers_of
        if source is not None and source not in allowed:
            yield (
                f"llm_definitions.{name}.model: got '{source}', allowed: {', '.join(allowed)} (the "
                f"entry whose answers '{name}' takes){did_you_mean(source, allowed)}"
            )


def _name_faults(config: Config) -> Iterator[str]:
    for table in ("llm_definitions", "loss_definitions"):
        for name in getattr(config, table):
            if is_reserved(name):
                yield f"{table}.{name}: the name is reserved for a control"


def _train_faults(config: Config) -> list[str]:
    """Faults between settings of the section ``train``, and as the grid's losses change it."""
    sections, data = {"train": config.train}, config.data
    sections |= {
        f"loss_definitions.{name}.train": train_of(config, name)
        for name, entry in config.loss_definitions.items()
        if entry.train.model_fields_set and name in config.losses
    }
    faults = []
    for key, train in sections.items():
        if train.micro_batch is not None and train.micro_batch * train.ranks > train.batch:
            faults.append(
                f"{key}.micro_batch: got {train.micro_batch} on {train.ranks} rank(s), allowed: "
                f"at most {key}.batch / {key}.ranks = {train.batch / train.ranks:g}"
            )
        if train.batch < train.ranks:
            faults.append(
                f"{key}.batch: got {train.batch}, expected at least {key}.ranks ({train.ranks})"
            )
        for name, most in (("pairs", "pairs"), ("images", "train_images")):
            wanted, there = getattr(train, name), getattr(data, most)
            if wanted is not None and wanted > there:
                faults.append(f"{key}.{name}: got {wanted}, allowed: at most data.{most} ({there})")
    return faults


def _schedule_faults(config: Config) -> Iterator[str]:
    sections = {"train": config.train}
    sections |= {
        f"loss_definitions.{name}.train": train_of(config, name)
        for name, entry in config.loss_definitions.items()
        if entry.train.model_fields_set
    }
    for key, train in sections.items():
        named = train.model_fields_set
        if "gamma" in named and train.schedule != "exponential":
            yield f"{key}.gamma: has no effect with schedule: {train.schedule}; remove it"
        if train.offload and train.zero_stage == 0:
            yield f"{key}.offload: has no effect at zero_stage 0; use stage 1, 2 or 3"


def _writer_faults(config: Config) -> Iterator[str]:
    section, entries, name = config.evaluate, config.llm_definitions, config.evaluate.writer
    if name is not None and name not in entries:
        hint = did_you_mean(name, entries)
        yield f"evaluate.writer: got '{name}', allowed: {', '.join(entries)}{hint}"
    elif section.asks_about_pairs or section.asks_about_classes:
        chosen = writer(config)
        if chosen not in entries:
            yield (
                "evaluate.writer: missing, and controls.llm is no entry; allowed: "
                + ", ".join(entries)
            )
        elif not entries[chosen].is_asked:
            yield (
                f"evaluate.writer: '{chosen}' is of kind '{entries[chosen].kind}' and can't be "
                "asked; name an entry of another kind"
            )


def _task_faults(config: Config) -> Iterator[str]:
    section = config.evaluate
    named = {"evaluate.tasks": section.tasks}
    named |= {
        f"evaluate.per_split.{split}.tasks": own.tasks
        for split, own in section.per_split.items()
        if own.tasks is not None
    }
    allowed = sorted({*config.task_definitions, *TASKS.kinds})
    for key, names in named.items():
        for place, name in enumerate(names):
            if name not in allowed:
                hint = did_you_mean(name, allowed)
                yield f"{key}.{place}: got '{name}', allowed: {', '.join(allowed)}{hint}"


def _kind_faults(config: Config) -> Iterator[str]:
    """Yield tasks of one kind on one split, whose metrics would have one name."""
    entries = task_entries(config)
    for split in config.evaluate.splits:
        kinds = [entries[name].kind for name in config.evaluate.for_split(split).tasks]
        for kind in sorted({kind for kind in kinds if kinds.count(kind) > 1}):
            yield (
                f"evaluate.tasks: two tasks of kind '{kind}' on split '{split}'; give one of them "
                "to another split (evaluate.per_split)"
            )


def _data_faults(config: Config) -> Iterator[str]:
    data = config.data
    most = data.train_images * (data.train_images - 1) // 2
    try:
        data.training_set()
    except (ConfigError, ValidationError) as error:
        yield _source_fault(data.source, error)
    for name, entry in data.evaluation.items():
        if name in OWN_SPLITS:
            yield f"data.evaluation.{name}: the name is reserved"
        if not entry.evaluates:
            yield f"data.evaluation.{name}: '{entry.kind}' can't be evaluated on, only trained on"
    if data.pairs > most:
        yield (
            f"data.pairs: got {data.pairs}, allowed: at most {most} with data.train_images = "
            f"{data.train_images}"
        )


def _source_fault(source: str, error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"data.source: {error}"
    item = error.errors()[0]
    key = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden":
        return f"data.{key}: has no effect with data.source: {source}; remove it"
    described = DATASETS.of(source).model_fields[key].description
    return f"data.{key}: missing; expected the {described}"


def _consistency_faults(config: Config) -> list[str]:
    faults = [*_reuse_faults(config)]
    if not faults:  # who is asked is clear
        faults += [*_control_faults(config), *_writer_faults(config)]
    faults += [*_name_faults(config), *_train_faults(config), *_schedule_faults(config)]
    faults += [*_data_faults(config)]
    task_faults = [*_task_faults(config)]
    faults += task_faults or [*_kind_faults(config)]
    if len(set(config.seeds)) != len(config.seeds):
        faults.append(f"seeds: got {config.seeds}, expected each seed once")
    if 1.0 not in config.evaluate.wise_alphas:
        faults.append("evaluate.wise_alphas: expected 1.0 (the finetuned weights) among them")
    return faults
