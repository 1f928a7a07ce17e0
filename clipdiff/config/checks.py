"""Checks between sections: names that need a definition, sizes that have to fit."""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from clipdiff.config.entries import asked_llm, task_entries, train_of, writer
from clipdiff.config.model import Config
from clipdiff.datasets.base import DATASETS
from clipdiff.errors import ConfigError, did_you_mean
from clipdiff.grid import Control, Row
from clipdiff.grid.cells import is_reserved
from clipdiff.settings import Train
from clipdiff.tasks.base import TASKS

OWN_SPLITS = ("train", "validation", "test")


def axis_faults(values: dict[str, Any]) -> list[str]:
    """Return a fault for each name on a grid axis without a definition; values may be invalid."""
    faults = []
    for axis, table in (("llms", "llm_definitions"), ("losses", "loss_definitions")):
        names, entries = values.get(axis), values.get(table)
        if not isinstance(names, list) or not isinstance(entries, dict):
            continue
        for index, name in enumerate(names):
            if name not in entries:
                hint = did_you_mean(str(name), entries)
                faults.append(
                    f"{axis}.{index}: got '{name}', allowed: {', '.join(entries)} "
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
    if Control.REWRITTEN in config.controls.rows and not entries[name].rewrites:
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


def _train_sections(config: Config, losses: Iterable[str]) -> dict[str, Train]:
    """Return the section ``train``, and those of losses that change it, by dotted key."""
    entries = config.loss_definitions
    return {"train": config.train} | {
        f"loss_definitions.{name}.train": train_of(config, name)
        for name, entry in entries.items()
        if name in losses and entry.train.model_fields_set
    }


def _train_faults(config: Config) -> Iterator[str]:
    data = config.data
    for key, train in _train_sections(config, config.losses).items():
        if train.micro_batch is not None and train.micro_batch * train.ranks > train.batch:
            yield (
                f"{key}.micro_batch: got {train.micro_batch} on {train.ranks} rank(s), allowed: "
                f"at most {key}.batch / {key}.ranks = {train.batch / train.ranks:g}"
            )
        if train.batch < train.ranks:
            yield (f"{key}.batch: got {train.batch}, expected at least {key}.ranks ({train.ranks})")
        for name, most in (("pairs", "pairs"), ("images", "train_images")):
            count, limit = getattr(train, name), getattr(data, most)
            if count is not None and count > limit:
                yield f"{key}.{name}: got {count}, allowed: at most data.{most} ({limit})"


def _schedule_faults(config: Config) -> Iterator[str]:
    for key, train in _train_sections(config, config.loss_definitions).items():
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
        name = writer(config)
        if name not in entries:
            yield (
                "evaluate.writer: missing, and controls.llm is no entry; allowed: "
                + ", ".join(entries)
            )
        elif not entries[name].is_asked:
            yield (
                f"evaluate.writer: '{name}' is of kind '{entries[name].kind}' and can't be "
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


def _repeat_faults(config: Config) -> Iterator[str]:
    controls, section = config.controls, config.evaluate
    lists: dict[str, list[Any]] = {
        "seeds": config.seeds,
        "controls.rows": controls.rows,
        "controls.seeds": controls.seeds,
        "evaluate.tasks": section.tasks,
        "evaluate.splits": section.splits,
        "evaluate.wise_alphas": section.wise_alphas,
    }
    for key, values in lists.items():
        if len(set(values)) != len(values):
            yield f"{key}: got {values}, expected each once"


def _effect_faults(config: Config) -> Iterator[str]:
    """Yield settings that change nothing as the others are."""
    section, generate = config.evaluate, config.generate
    for split in section.per_split.keys() - set(section.splits):
        hint = did_you_mean(split, section.splits)
        yield (
            f"evaluate.per_split.{split}: has no effect, as evaluate.splits does not name it{hint}"
        )
    if generate.temperature == 0 and generate.top_p != 1:
        yield f"generate.top_p: got {generate.top_p}, which has no effect with temperature: 0"
    for name in config.data.evaluation:
        if f"{name}_validation" in config.data.evaluation:
            yield (
                f"data.evaluation.{name}_validation: '{name}' has a split of that name; rename the "
                "entry and say its kind"
            )


def consistency_faults(config: Config) -> list[str]:
    """Return every fault between the sections of a valid configuration."""
    faults = [*_reuse_faults(config)]
    if not faults:  # who is asked is clear
        faults += [*_control_faults(config), *_writer_faults(config)]
    faults += [*_name_faults(config), *_train_faults(config), *_schedule_faults(config)]
    faults += [*_data_faults(config), *_repeat_faults(config), *_effect_faults(config)]
    task_faults = [*_task_faults(config)]
    faults += task_faults or [*_kind_faults(config)]
    if 1.0 not in config.evaluate.wise_alphas:
        faults.append("evaluate.wise_alphas: expected 1.0 (the finetuned weights) among them")
    return faults
