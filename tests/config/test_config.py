"""The configuration check: all faults at once, each with key, got, allowed and nearest name."""

import json
from pathlib import Path

import pytest
import yaml

from clipdiff.config import Config, check_config, load_config
from clipdiff.config.entries import text_llm
from clipdiff.config.schema import SCHEMA, generated_schema
from clipdiff.config.stages import (
    evaluate_settings,
    generate_settings,
    train_settings,
)
from clipdiff.errors import ConfigError
from clipdiff.grid import PRETRAINED, Variant, all_variants, text_tables, trained_variants
from clipdiff.provenance import settings_hash

DEFAULT = Path("config.yaml")


@pytest.fixture
def values() -> dict:
    return yaml.safe_load(DEFAULT.read_text())


def fault(values: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        check_config(values)
    return str(caught.value)


def test_default_grid_has_36_cells_9_controls_and_pretrained() -> None:
    variants = all_variants(load_config(DEFAULT))
    cells = [v for v in variants if "-" not in v.llm and v.llm not in ("captions", "pretrained")]
    assert len(cells) == 36
    assert len(variants) == 36 + 9 + 1
    assert variants[0] == PRETRAINED


def test_every_preset_is_valid_over_the_default() -> None:
    presets = sorted(Path("config").rglob("*.yaml"))
    assert presets
    for preset in presets:
        assert trained_variants(load_config(DEFAULT, preset))


def test_the_papers_preset_is_its_setting() -> None:
    preset = load_config(DEFAULT, "config/paper.yaml")
    data, train = preset.data, preset.train
    assert (data.source, data.train_images, data.pairs) == ("coco", 1000, 1000 * 999 // 2)
    assert (preset.clip.model, preset.clip.pretrained) == ("ViT-L-14", "datacomp_xl_s13b_b90k")
    assert (train.optimizer, train.lr, train.batch, train.epochs) == ("adam", 1e-8, 512, 20)
    assert (train.schedule, train.gamma, train.warmup, train.clip_grad) == (
        "exponential",
        0.9,
        0,
        0,
    )
    assert train.trainable == "transformer"
    assert preset.evaluate.wise_alphas == [0.5, 1.0]
    section, own = preset.evaluate, {"validation", "test", *data.evaluation}
    chosen_on = {section.for_split(name).validation for name in section.splits}
    assert set(section.splits) == own | chosen_on >= set(section.per_split)
    for name in section.splits:
        if "comparative_prompting" in section.for_split(name).tasks:
            assert section.for_split(name).validation == f"{name}_validation"


def test_the_papers_preset_has_the_llm_entries_of_their_own_files() -> None:
    preset = load_config(DEFAULT, "config/paper.yaml")
    for name in preset.llms:
        alone = load_config(DEFAULT, f"config/llms/{name}.yaml")
        assert preset.llm_definitions[name] == alone.llm_definitions[name]


def test_all_faults_come_at_once_with_the_nearest_name(values: dict) -> None:
    values["train"]["lrr"] = 1
    values["train"]["lr"] = "fast"
    values["llms"] = ["bertt", "t5"]
    values["losses"] = ["hinje"]
    values["llm_definitions"]["bert"]["kind"] = "maskd"
    text = fault(values)
    for part in (
        "train.lrr: unknown key (did you mean 'lr'?)",
        "train.lr: got 'fast'",
        "llms.0: got 'bertt'",
        "(did you mean 'bert'?)",
        "losses.0: got 'hinje'",
        "llm_definitions.bert.kind: got 'maskd', allowed: 'causal', 'vllm', 'api'",
        "(did you mean 'masked'?)",
        "5 fault(s)",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (["llms"], [], "llms: got []"),
        (["seeds"], [0, 0], "seeds: got [0, 0], expected each seed once"),
        (["evaluate", "tasks"], ["zeroshot"], "(did you mean 'zero_shot'?)"),
        (["train", "micro_batch"], 256, "train.micro_batch: got 256"),
        (["data", "pairs"], 10**9, "at most 499500 with data.train_images = 1000"),
        (["data", "source"], "table", "data.table: missing"),
        (["controls", "llm"], "lama2", "(did you mean 'llama2'?)"),
        (["controls", "llm"], "bert", "'bert' is of kind 'masked', which can't rewrite captions"),
        (["evaluate", "wise_alphas"], [0.5], "expected 1.0"),
        (["evaluate", "writer"], "berrt", "evaluate.writer: got 'berrt'"),
        (["train", "images"], 1001, "train.images: got 1001, allowed: at most data.train_images"),
        (
            ["llm_definitions", "bert", "filter"],
            {"min_word": 3},
            "llm_definitions.bert.filter.min_word: unknown key (did you mean 'min_words'?)",
        ),
        (
            ["evaluate", "unclip"],
            {"model": "m", "step": 2},
            "unclip.step: unknown key (did you mean",
        ),
        (["llm_definitions", "bert", "price"], {"inptu": 1}, "price.inptu: unknown key (did you"),
        (["train", "zero_stage"], 4, "train.zero_stage: got 4, allowed: 0, 1, 2 or 3"),
    ],
)
def test_one_fault(values: dict, path: list[str], value: object, expected: str) -> None:
    section = values
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    assert expected in fault(values)


def test_a_file_of_differences_cannot_be_asked(values: dict) -> None:
    values["llm_definitions"]["mine"] = {"kind": "file", "model": "mine.csv"}
    values["evaluate"]["writer"] = "mine"
    check_config(values)
    values["evaluate"]["per_split"] = {"test_scenes": {"pair_differences": "llm"}}
    assert "evaluate.writer: 'mine' is of kind 'file' and can't be asked" in fault(values)


@pytest.mark.parametrize(
    ("llm", "expected"),
    [
        ("bert", "bert"),
        ("rewritten-llama2", "llama2"),
        ("shuffled-t5", "t5"),
        ("captions", "gpt3"),
        ("pretrained", "gpt3"),
        ("mine", "gpt3"),
    ],
)
def test_who_writes_about_classes(values: dict, llm: str, expected: str) -> None:
    values["llm_definitions"]["mine"] = {"kind": "file", "model": "mine.csv"}
    values["evaluate"]["writer"] = "gpt3"
    assert text_llm(check_config(values), llm) == expected


def test_a_task_reads_the_tables_of_its_own(values: dict) -> None:
    texts = {"class_differences": "llm", "class_descriptions": "my/{llm}.parquet"}
    values["evaluate"] |= {**texts, "pair_differences": "llm"}

    def read(*tasks: str) -> dict[str, Path]:
        values["evaluate"]["tasks"] = list(tasks)
        return text_tables(check_config(values).evaluate, "bert", "t5", Path("texts"))

    assert read("zero_shot", "linear_probe") == {}
    assert read("geometry") == {"class_differences": Path("texts/bert/class_differences.parquet")}
    assert set(read("comparative_prompting")) == set(texts)
    pairs = read("difference_classification")
    assert pairs == {"pair_differences": Path("texts/t5/pair_differences.parquet")}


def test_missing_section_and_unreadable_file(values: dict, tmp_path: Path) -> None:
    del values["train"]
    assert "train: missing" in fault(values)
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    with pytest.raises(ConfigError, match="can't be read as YAML"):
        load_config(broken)


def test_schema_file_is_the_generated_one() -> None:
    shipped = json.loads(SCHEMA.read_text())
    assert shipped == generated_schema(), "run `python -m clipdiff.config.schema`"


def test_editing_the_margin_changes_the_hinge_cells_only(values: dict) -> None:
    before = load_config(DEFAULT)
    values["loss_definitions"]["hinge"]["margin"] = 0.3
    after = check_config(values)
    changed = {
        v.loss
        for v in trained_variants(before)
        if train_settings(before, v) != train_settings(after, v)
    }
    assert changed == {"hinge"}


def test_editing_evaluation_changes_no_training(values: dict) -> None:
    before, cell = load_config(DEFAULT), Variant("bert", "hinge", "0")
    values["evaluate"]["draws"] = 3
    after = check_config(values)
    assert train_settings(before, cell) == train_settings(after, cell)
    assert evaluate_settings(before, cell) != evaluate_settings(after, cell)


def test_settings_hash_follows_the_settings(values: dict) -> None:
    config: Config = load_config(DEFAULT)
    first = train_settings(config, Variant("bert", "hinge", "0"))
    again = type(first).model_validate_json(first.model_dump_json())
    other = train_settings(config, Variant("bert", "hinge", "1"))
    assert settings_hash(first) == settings_hash(again) != settings_hash(other)


def test_rewrites_come_from_the_llm_they_name() -> None:
    settings = generate_settings(load_config(DEFAULT), "rewritten-llama2")
    assert settings.task == "rewrite"
    assert settings.definition.kind == "causal"


def test_variant_text() -> None:
    assert Variant.parse("llm=bert,loss=hinge,seed=0").cell == "bert/hinge/seed0"
    assert Variant.parse("llm=pretrained") == PRETRAINED
    with pytest.raises(ConfigError, match="expected llm=NAME,loss=NAME,seed=NUMBER"):
        Variant.parse("bert/hinge")
