"""What a change makes again: every field of the configuration, on a finished grid.

A field that decides numbers plans the first stages that take it, and all that follows from them;
a field that says how numbers are computed plans nothing.
"""

from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import pytest
import yaml
from checkout import TINY, Checkout

from clipdiff.config import Config, check_config
from clipdiff.config.stages import evaluate_settings
from clipdiff.grid import PRETRAINED
from clipdiff.registry import Entries, Entry
from clipdiff.settings import Section
from clipdiff.settings.base import merge

pytestmark = pytest.mark.slow

MINE = "mine.parquet"  # a table of texts of the user's

# what a rule's outputs go into
FEEDS = {
    "prepare": "embed generate filter questions train evaluate gather",
    "embed": "questions train evaluate",
    "generate": "filter gather",
    "questions": "answer filter_answers",
    "answer": "filter_answers",
    "filter": "train gather",
    "filter_answers": "evaluate",
    "train": "evaluate gather",
    "evaluate": "gather",
    "gather": "",
}
UNCLIP = "task_definitions.clip_score.unclip"
SQUARED = {  # null takes back what the entry has as a hinge
    "loss_definitions.hinge.kind": "squared",
    "loss_definitions.hinge.margin": None,
    "loss_definitions.hinge.negatives": None,
}
MEASURING, ASKING = "evaluate gather", "questions evaluate gather"

# Fields that decide numbers: a new value, and the first stages that take it.
RESULT: list[tuple[str, Any, str]] = [
    ("llms", ["llama2", "bert", "t5"], "gather"),
    ("losses", ["hinge"], "gather"),
    ("seeds", [0, 7], "train gather"),
    ("controls.rows", ["captions"], "gather"),
    ("controls.llm", "llama2", "generate filter train evaluate gather"),
    ("controls.seeds", [3], "train gather"),
    ("data.source", "table", "prepare"),
    ("data.root", "elsewhere", "prepare"),
    ("data.table", "mine.csv", "prepare"),
    ("data.train_images", 81, "prepare"),
    ("data.validation_images", 61, "prepare"),
    ("data.test_images", 81, "prepare"),
    ("data.pairs", 97, "prepare"),
    ("data.evaluation", {"cifar10": {"root": "cifar"}}, "prepare"),
    ("data.evaluation.cifar10.root", "cifar", "prepare"),
    ("data.seed", 1, "prepare filter filter_answers"),
    ("clip.model", "local-dir:other", "embed filter questions filter_answers train evaluate"),
    ("clip.pretrained", "openai", "embed filter questions filter_answers train evaluate"),
    ("reference_clip.model", "local-dir:other", "evaluate"),
    ("reference_clip.pretrained", "openai", "evaluate"),
    ("generate.temperature", 0.5, "generate answer"),
    ("generate.top_p", 0.5, "generate answer"),
    ("generate.seed", 1, "generate answer"),
    ("generate.swapped", 10, "generate"),
    *(
        (f"filter.{name}", value, "filter filter_answers")
        for name, value in (
            ("enabled", False),
            ("min_words", 5),
            ("max_repeat", 0.4),
            ("min_compression", 0.2),
            ("require_both", False),
        )
    ),
    *(
        (f"train.{name}", value, "train")
        for name, value in (
            ("trainable", "transformer"),
            ("batch", 16),
            ("pairs", 64),
            ("images", 40),
            ("epochs", 3),
            ("optimizer", "sgd"),
            ("lr", 1e-3),
            ("weight_decay", 0.1),
            ("schedule", "constant"),
            ("warmup", 0.2),
            ("clip_grad", 2.0),
            ("precision", "bf16"),
        )
    ),
    ("evaluate.tasks", ["zero_shot"], MEASURING),
    ("evaluate.splits", ["validation", "test_style"], ASKING),
    ("evaluate.per_split", {"test_style": {"tasks": ["zero_shot"]}}, ASKING),
    ("evaluate.per_split.test_style.tasks", ["zero_shot"], ASKING),
    ("evaluate.per_split.test_style.templates", "none", ASKING),
    ("evaluate.per_split.test_style.pair_differences", MINE, ASKING),
    ("evaluate.per_split.test_style.prompt", "a {label}", ASKING),
    ("evaluate.per_split.test_style.validation", "test_scenes", ASKING),
    ("evaluate.wise_alphas", [1.0], MEASURING),
    ("evaluate.draws", 3, ASKING),
    ("evaluate.images_per_draw", 30, ASKING),
    ("evaluate.pairs_per_draw", 30, ASKING),
    ("evaluate.templates", "none", ASKING),
    ("evaluate.pair_differences", MINE, ASKING),
    ("evaluate.prompt", "a {label}", ASKING),
    ("evaluate.validation", "test_style", ASKING),
    ("evaluate.class_differences", MINE, ASKING),
    ("evaluate.class_descriptions", MINE, ASKING),
    ("evaluate.writer", "bert", MEASURING),
    ("evaluate.resamples", 100, MEASURING),
    ("evaluate.confidence", 0.9, MEASURING),
    ("evaluate.seed", 1, ASKING),
    ("gather.alpha", 0.01, "gather"),
    ("gather.example_pairs", 5, "gather"),
    ("gather.seed", 1, "gather"),
    ("llm_definitions.bert.kind", "causal", "generate answer"),
    ("llm_definitions.bert.model", "elsewhere", "generate answer"),
    ("llm_definitions.bert.filter", {"min_words": 5}, "filter filter_answers"),
    ("llm_definitions.bert.prompt", "bert_scaffold", "generate answer"),
    ("llm_definitions.bert.rounds", 2, "generate answer"),
    ("llm_definitions.llama2.revision", "main", "generate answer"),
    ("llm_definitions.llama2.dtype", "float32", "generate answer"),
    ("llm_definitions.llama2.max_new_tokens", 50, "generate answer"),
    ("llm_definitions.gpt3.endpoint", "chat", "generate answer"),
    ("llm_definitions.gpt3.base_url", "http://127.0.0.1:1", "generate answer"),
    ("llm_definitions.gpt3.price", {"input": 1, "output": 2}, "gather"),
    ("llm_definitions.gpt3.price.input", 1, "gather"),
    ("llm_definitions.gpt3.price.output", 1, "gather"),
    ("loss_definitions.hinge.kind", "squared", "train"),
    ("loss_definitions.hinge.normalize", True, "train"),
    ("loss_definitions.hinge.train", {"lr": 1e-3}, "train"),
    ("loss_definitions.hinge.mask_duplicates", False, "train"),
    ("loss_definitions.hinge.margin", 0.3, "train"),
    ("loss_definitions.hinge.negatives", "hardest", "train"),
    ("loss_definitions.contrastive.logit_scale", 20, "train"),
    ("loss_definitions.contrastive.learn_logit_scale", True, "train"),
    ("loss_definitions.contrastive.logit_scale_lr", 0.1, "train"),
    ("task_definitions.clip_score.edits", 30, MEASURING),
    ("task_definitions.clip_score.score_prefix", "a ", MEASURING),
    ("task_definitions.clip_score.unclip", {"model": "m"}, MEASURING),
    *(
        (f"{UNCLIP}.{name}", value, MEASURING)
        for name, value in (
            ("model", "m"),
            ("revision", "main"),
            ("edits", 3),
            ("steps", 3),
            ("guidance", 2.0),
            ("noise_level", 1),
            ("shown", 2),
        )
    ),
    ("task_definitions.comparative_prompting.confusions", 2, ASKING),
    ("task_definitions.comparative_prompting.prompt_alphas", [0.9], MEASURING),
    ("task_definitions.geometry.class_pairs", 30, ASKING),
    ("task_definitions.linear_probe.shots", 3, MEASURING),
]
# What has to change with a value so that the configuration is sound.
ALSO: dict[str, dict[str, Any]] = {
    "clip.pretrained": {"clip.model": "ViT-B-32"},
    "reference_clip.pretrained": {"reference_clip.model": "ViT-B-32"},
    "data.source": {"data.table": "mine.csv"},
    "data.root": {"data.source": "coco"},
    "data.table": {"data.source": "table"},
    "loss_definitions.hinge.kind": SQUARED,
    "loss_definitions.hinge.normalize": SQUARED,
    "llm_definitions.gpt3.price.input": {"llm_definitions.gpt3.price.output": 2},
    "llm_definitions.gpt3.price.output": {"llm_definitions.gpt3.price.input": 2},
    **{
        f"{UNCLIP}.{name}": {f"{UNCLIP}.model": "m"}
        for name in ("revision", "edits", "steps", "guidance", "noise_level", "shown")
    },
    "loss_definitions.contrastive.logit_scale_lr": {
        "loss_definitions.contrastive.learn_logit_scale": True
    },
}
# Fields that say how numbers are computed: a new value. All of them at once plan nothing.
COMPUTE: dict[str, Any] = {
    "clip.batch": 128,
    "reference_clip.batch": 64,
    "generate.shard_rows": 64,
    "generate.max_cost": 7.0,
    "generate.max_tokens_total": 10**9,
    "train.micro_batch": 8,
    "train.ranks": 2,
    "train.zero_stage": 1,
    "train.offload": True,
    "train.threads": 2,
    "train.checkpoint_every": 3,
    "train.keep_checkpoints": 3,
    "train.log_every": 20,
    "evaluate.threads": 2,
    "llm_definitions.bert.batch": 8,
    "llm_definitions.gpt3.key_env": "OTHER_KEY",
    "llm_definitions.gpt3.key_file": "key",
    "llm_definitions.gpt3.requests_per_minute": 60,
    "llm_definitions.gpt3.tokens_per_minute": 6000,
    "llm_definitions.gpt3.timeout": 7.0,
    "loss_definitions.hinge.train.micro_batch": 4,
    "loss_definitions.hinge.train.log_every": 5,
}
# Fields that no finished tiny grid has, and why that is no hole.
ELSEWHERE = {
    "Config.results": "another folder is another run",
    "Config.*": "the sections themselves",
    "Table.table": "is data.table",
    "Unclip.batch": "no decoder in the tiny grid: the last test but one",
    "Train.gamma": "needs another schedule: the next test",
    "Generate.jobs": "adds the parts of an answer that is there: the next test",
}


@pytest.fixture(scope="module")
def dry_run(tiny: Checkout, tmp_path_factory: pytest.TempPathFactory):
    """Return a function that plans the finished tiny grid with some values changed."""
    folder = tmp_path_factory.mktemp("presets")
    table = folder / MINE
    table.touch()

    def plan(changes: dict[str, Any]) -> set[str]:
        preset = folder / "preset.yaml"
        preset.write_text(yaml.safe_dump(nested(changes)).replace(MINE, str(table)))
        return set(tiny.plan(presets=(preset,))) - {"all"}

    return plan


def default() -> dict[str, Any]:
    """Return the tiny grid's configuration."""
    return merge(*(yaml.safe_load(Path(name).read_text()) for name in ("config.yaml", TINY)))


def nested(changes: dict[str, Any]) -> dict[str, Any]:
    """Return dotted keys as mappings."""
    values: dict[str, Any] = {}
    for key, value in changes.items():
        *path, last = key.split(".")
        section = values
        for part in path:
            section = section.setdefault(part, {})
        section[last] = value
    return values


def followers(first: str) -> set[str]:
    """Return some stages and all that their outputs go into."""
    reached, left = set(), first.split()
    while left:
        rule = left.pop()
        if rule not in reached:
            reached.add(rule)
            left += FEEDS[rule].split()
    return reached


def test_nothing_is_planned_where_nothing_changed(dry_run):
    assert dry_run({}) == set()


def test_how_numbers_are_computed_plans_nothing(dry_run):
    assert dry_run(COMPUTE) == set()


@pytest.mark.parametrize(("key", "value", "first"), RESULT, ids=[row[0] for row in RESULT])
def test_a_field_that_decides_numbers(dry_run, key: str, value: object, first: str):
    assert dry_run({key: value, **ALSO.get(key, {})}) == followers(first)


def test_gamma_where_it_is_in_use(dry_run):
    exponential = {"train.schedule": "exponential"}
    assert dry_run({**exponential, "train.gamma": 0.5}) == followers("train")


def test_more_jobs_an_llm_ask_nothing_again(dry_run):
    assert dry_run({"generate.jobs": 3}) == set()


def test_images_decoded_at_once_decide_nothing():
    told = {}
    for batch in (2, 3):
        changes = {f"{UNCLIP}.model": "m", f"{UNCLIP}.batch": batch}
        config = check_config(merge(default(), nested(changes)))
        told[batch] = evaluate_settings(config, PRETRAINED).result()
        computing = evaluate_settings(config, PRETRAINED).with_compute(config.compute())
        assert computing.tasks["clip_score"].unclip.batch == batch
    assert told[2] == told[3]


def test_the_walk_leaves_no_field_out():
    told = {owner(key, {key: value, **ALSO.get(key, {})}) for key, value, _ in RESULT}
    computing = {owner(key, COMPUTE) for key in COMPUTE}
    assert not told & computing
    fields = dict(all_fields())
    elsewhere = {name for name in fields if any(matches(name, each) for each in ELSEWHERE)}
    assert told | computing | elsewhere == set(fields)
    assert {name for name in computing if not fields[name]} == set()
    assert {name for name in told if fields[name]} == set()


def matches(name: str, pattern: str) -> bool:
    """Return whether a field is one of ``Class.*``, or the one itself."""
    return name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1]))


def owner(key: str, changes: dict[str, Any]) -> str:
    """Return a dotted key as the class that declares its field, and the field."""
    value: Any = check_config(merge(default(), nested(changes)))
    *path, last = key.split(".")
    for part in path:
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return declared(type(value), last)


def declared(model: type[Section], name: str) -> str:
    """Return the class that first declares a field, and the field."""
    first = [base for base in model.__mro__ if name in getattr(base, "__annotations__", {})][-1]
    return f"{first.__name__}.{name}"


def all_fields() -> Iterator[tuple[str, bool]]:
    """Yield every field of every section and of every kind, and whether it is of computing."""
    left, seen = [Config], set()
    while left:
        model = left.pop()
        if model in seen:
            continue
        seen.add(model)
        for name, field in model.model_fields.items():
            yield declared(model, name), name in model.compute_fields()
            left += held(field.annotation, field.metadata)


def held(annotation: Any, marks: Any = ()) -> list[type[Section]]:
    """Return the sections that a field may hold."""
    kinds = [mark.registry for mark in marks if isinstance(mark, Entries)]
    if kinds:
        return [kinds[0].of(kind) for kind in kinds[0].kinds]
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [] if annotation is Entry else [annotation]
    inner = (
        [*get_args(annotation)]
        if not isinstance(annotation, UnionType)
        else [each for each in get_args(annotation) if each is not type(None)]
    )
    return [model for each in inner for model in held(each, getattr(each, "__metadata__", ()))]
