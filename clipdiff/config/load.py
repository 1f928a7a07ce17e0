"""Reading and checking a configuration: every fault at once, each with its dotted key."""

import re
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from clipdiff.config.entries import asked_llm, train_of, writer
from clipdiff.config.sections import Config, SetName
from clipdiff.errors import ConfigError, did_you_mean

OWN_SPLITS = ("train", "validation", "test")
RESERVED = ("pretrained", "captions", "rewritten", "shuffled", "none")


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
        merged = _merge(merged, loaded)
    return check_config(merged)


def check_config(values: dict[str, Any]) -> Config:
    """Validate merged configuration values.

    Raises:
        ConfigError: lists every fault with its dotted key, what was got and what is allowed.
    """
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        faults = [_fault(item) for item in error.errors()]
        raise ConfigError(_listed(faults + _axis_faults(values))) from error
    faults = _axis_faults(values) + _consistency_faults(config)
    if faults:
        raise ConfigError(_listed(faults))
    return config


def _listed(faults: list[str]) -> str:
    return "\n".join(
        [f"the configuration has {len(faults)} fault(s):", *(f"  {f}" for f in faults)]
    )


def _merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _fault(item: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = _known_keys(item["loc"][:-1])
        hint = did_you_mean(str(item["loc"][-1]), known)
        return f"{key}: unknown key{hint}; allowed: {', '.join(known)}"
    if item["type"] == "missing":
        return f"{key}: missing; {item['msg'].lower()}"
    if item["type"] == "literal_error":
        allowed = re.findall(r"'([^']*)'", item["ctx"]["expected"])
        hint = did_you_mean(str(item["input"]), allowed)
        return f"{key}: got {item['input']!r}, allowed: {item['ctx']['expected']}{hint}"
    return f"{key}: got {item['input']!r}: {item['msg']}"


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys allowed at a location, walking the section models."""
    model: Any = Config
    for part in loc:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = model.model_fields[str(part)].annotation
            if isinstance(model, UnionType):  # Section | None
                model = get_args(model)[0]
        else:  # dict[EntryName, Section]
            model = get_args(model)[-1]
    return sorted(model.model_fields)


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


def _control_faults(config: Config) -> list[str]:
    known, name = config.llm_definitions, config.controls.llm
    if not config.controls.rows:
        return []
    if name not in known:
        hint = did_you_mean(name, known)
        return [f"controls.llm: got '{name}', allowed: {', '.join(known)}{hint}"]
    name = str(asked_llm(config, name))
    kind = known[name].kind
    if "rewritten" in config.controls.rows and kind in ("masked", "file"):
        return [
            f"controls.llm: '{name}' is of kind '{kind}', which can't rewrite captions; name one "
            "of kind causal, vllm, api or seq2seq, or drop 'rewritten' from controls.rows"
        ]
    return []


def _reuse_faults(config: Config) -> list[str]:
    known, faults = config.llm_definitions, []
    allowed = [name for name, entry in known.items() if entry.kind != "reuse"]
    for name, entry in known.items():
        key = f"llm_definitions.{name}"
        if name in allowed:
            continue
        if entry.model not in allowed:
            hint = did_you_mean(entry.model, allowed)
            faults.append(
                f"{key}.model: got '{entry.model}', allowed: {', '.join(allowed)} "
                f"(the entry whose answers '{name}' takes){hint}"
            )
        faults += [
            f"{key}.{setting}: has no effect on answers that are there already; remove it"
            for setting in sorted(entry.model_fields_set - {"kind", "model", "filter"})
        ]
    return faults


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


def _writer_faults(config: Config) -> list[str]:
    section, known, name = config.evaluate, config.llm_definitions, config.evaluate.writer
    if name is not None and name not in known:
        hint = did_you_mean(name, known)
        return [f"evaluate.writer: got '{name}', allowed: {', '.join(known)}{hint}"]
    asks = section.asks_about_pairs or section.asks_about_classes
    if not asks:
        return []
    if writer(config) not in known:
        return [
            "evaluate.writer: missing, and controls.llm is no entry; allowed: " + ", ".join(known)
        ]
    if known[writer(config)].kind == "file":
        return [
            f"evaluate.writer: '{writer(config)}' is of kind 'file' and can't be asked; name an "
            "entry of another kind"
        ]
    return []


def _data_set_faults(config: Config) -> list[str]:
    data, faults = config.data, []
    if data.source == "coco" and not data.root:
        faults.append("data.root: missing; expected the folder of COCO's unpacked archives")
    for name, entry in data.evaluation.items():
        if entry.layout(name) not in get_args(SetName):
            faults.append(
                f"data.evaluation.{name}: no data set of that name"
                f"{did_you_mean(name, get_args(SetName))}; say how it is laid out with kind: "
                f"{', '.join(get_args(SetName))}"
            )
        if name in OWN_SPLITS:
            faults.append(f"data.evaluation.{name}: the name is reserved")
    return faults


def _consistency_faults(config: Config) -> list[str]:
    faults = _reuse_faults(config)
    if not faults:  # who is asked is known
        faults += _control_faults(config) + _writer_faults(config)
    faults += [
        f"llm_definitions.{name}: the name is reserved"
        for name in config.llm_definitions
        if name in RESERVED
    ]
    faults += _train_faults(config)
    data, most = config.data, config.data.train_images
    if data.source == "table" and not data.table:
        faults.append("data.table: missing; expected the path of a CSV or Parquet file")
    faults += _data_set_faults(config)
    if data.pairs > most * (most - 1) // 2:
        faults.append(
            f"data.pairs: got {data.pairs}, allowed: at most {most * (most - 1) // 2} "
            f"with data.train_images = {most}"
        )
    if len(set(config.seeds)) != len(config.seeds):
        faults.append(f"seeds: got {config.seeds}, expected each seed once")
    if 1.0 not in config.evaluate.wise_alphas:
        faults.append("evaluate.wise_alphas: expected 1.0 (the finetuned weights) among them")
    return faults
