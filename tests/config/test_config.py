"""The configuration check: all faults at once, each with key, got, allowed and nearest name."""

import json
import re
from pathlib import Path

import pytest
import yaml

from clipdiff.config import Config, check_config, load_config
from clipdiff.config.entries import all_cells, task_entries, text_llm, trained_cells
from clipdiff.config.schema import SCHEMA, generated_schema
from clipdiff.config.stages import (
    evaluate_settings,
    generate_settings,
    train_settings,
)
from clipdiff.config.text_tables import text_table_paths
from clipdiff.errors import ConfigError
from clipdiff.grid import PRETRAINED, Cell, Layout, Row
from clipdiff.provenance import settings_hash
from clipdiff.settings.base import merge

DEFAULT = Path("config.yaml")


@pytest.fixture
def values() -> dict:
    return yaml.safe_load(DEFAULT.read_text())


def fault(values: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        check_config(values)
    return str(caught.value)


def test_default_grid_has_36_cells_9_controls_and_pretrained() -> None:
    cells = all_cells(load_config(DEFAULT))
    assert sum(cell.row.kind == "cell" for cell in cells) == 36
    assert sum(cell.row.kind == "control" for cell in cells) == 9
    assert len(cells) == 36 + 9 + 1
    assert cells[0] == PRETRAINED


def test_every_preset_is_valid_over_the_default() -> None:
    presets = sorted(Path("config").rglob("*.yaml"))
    assert presets
    for preset in presets:
        assert trained_cells(load_config(DEFAULT, preset))


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
        "llm_definitions.bert.kind: got 'maskd' (did you mean 'masked'?); allowed: api, causal",
        "5 fault(s)",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (["llms"], [], "llms: got []"),
        (["seeds"], [0, 0], "seeds: got [0, 0], expected each once"),
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
            ["task_definitions", "clip_score"],
            {"unclip": {"model": "m", "step": 2}},
            "task_definitions.clip_score.unclip.step: unknown key (did you mean 'steps'?)",
        ),
        (["llm_definitions", "gpt3", "price"], {"inptu": 1}, "price.inptu: unknown key (did you"),
        (["task_definitions", "clip_scroe"], {"edits": 3}, "task_definitions.clip_scroe.kind is"),
        (["data", "source"], "coco", "data.root: missing"),
        (["data", "source"], "demoo", "data.source: got 'demoo' (did you mean 'demo'?)"),
        (["data", "table"], "mine.csv", "data.table: has no effect with data.source: demo"),
        (
            ["data", "evaluation"],
            {"cifar": {"root": "x"}},
            "data.evaluation.cifar.kind is missing; allowed: awa2, cifar10, cifar100",
        ),
        (["data", "evaluation"], {"cifar10": {"rot": "x"}}, "(did you mean 'root'?)"),
        (["loss_definitions", "none"], {"kind": "squared"}, "loss_definitions.none: the name is"),
        (
            ["llm_definitions", "shuffled-x"],
            {"kind": "file", "model": "x.csv"},
            "llm_definitions.shuffled-x: the name is reserved for a control",
        ),
        (["llm_definitions", ".."], {"kind": "file", "model": "x.csv"}, "llm_definitions"),
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
    assert text_llm(check_config(values), Row.parse(llm)) == expected


def test_a_task_reads_the_tables_of_its_own(values: dict) -> None:
    texts = {"class_differences": "llm", "class_descriptions": "my/{llm}.parquet"}
    values["evaluate"] |= {**texts, "pair_differences": "llm"}

    def read(*tasks: str) -> dict[str, Path]:
        values["evaluate"]["tasks"] = list(tasks)
        config = check_config(values)
        told = (task_entries(config), "bert", "t5", Layout(Path("r")))
        return text_table_paths(config.evaluate, *told)

    assert read("zero_shot", "linear_probe") == {}
    assert read("geometry") == {
        "class_differences": Path("r/evaluation_texts/bert/class_differences.parquet")
    }
    assert set(read("comparative_prompting")) == set(texts)
    pairs = read("difference_classification")
    assert pairs == {"pair_differences": Path("r/evaluation_texts/t5/pair_differences.parquet")}


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
        cell.loss
        for cell in trained_cells(before)
        if train_settings(before, cell).result() != train_settings(after, cell).result()
    }
    assert changed == {"hinge"}


def test_editing_evaluation_changes_no_training(values: dict) -> None:
    before, cell = load_config(DEFAULT), Cell.of("bert", "hinge", 0)
    values["evaluate"]["draws"] = 3
    after = check_config(values)
    assert train_settings(before, cell) == train_settings(after, cell)
    assert evaluate_settings(before, cell) != evaluate_settings(after, cell)


def test_settings_hash_follows_the_settings(values: dict) -> None:
    config: Config = load_config(DEFAULT)
    first = train_settings(config, Cell.of("bert", "hinge", 0))
    again = type(first).model_validate_json(first.model_dump_json())
    other = train_settings(config, Cell.of("bert", "hinge", 1))
    assert settings_hash(first) == settings_hash(again) != settings_hash(other)


def test_rewrites_come_from_the_llm_they_name() -> None:
    settings = generate_settings(load_config(DEFAULT), Row.parse("rewritten-llama2"))
    assert settings.task == "rewrite"
    assert settings.definition.kind == "causal"


SENSELESS = [
    ("loss_definitions", "contrastive", {"margin": 0.5}, "contrastive.margin: unknown key"),
    ("loss_definitions", "squared", {"negatives": "hardest"}, "squared.negatives: unknown key"),
    ("loss_definitions", "squared", {"mask_duplicates": True}, "squared.mask_duplicates: unknown"),
    ("loss_definitions", "contrastive", {"logit_scale_lr": 0.1}, "without learn_logit_scale"),
    ("loss_definitions", "hinge", {"negatives": "reversed", "mask_duplicates": False}, "no effect"),
    ("llm_definitions", "llama2", {"rounds": 9}, "llama2.rounds: unknown key"),
    ("llm_definitions", "llama2", {"base_url": "http://x"}, "llama2.base_url: unknown key"),
    ("llm_definitions", "bert", {"max_new_tokens": 3}, "bert.max_new_tokens: unknown key"),
]


@pytest.mark.parametrize(("table", "name", "settings", "expected"), SENSELESS)
def test_a_setting_without_an_effect_is_a_fault(
    values: dict, table: str, name: str, settings: dict, expected: str
) -> None:
    values[table][name] |= settings
    assert expected in fault(values)


WRONG = [
    ({"controls": {"seeds": [0, 0]}}, "controls.seeds: got [0, 0], expected each once"),
    ({"controls": {"rows": ["captions", "captions"]}}, "controls.rows: got"),
    ({"evaluate": {"splits": ["validation", "validation"]}}, "evaluate.splits: got"),
    ({"evaluate": {"splits": []}}, "evaluate.splits: got []"),
    ({"evaluate": {"wise_alphas": [1.0, 1.0]}}, "evaluate.wise_alphas: got"),
    ({"evaluate": {"per_split": {"tset_style": {"tasks": []}}}}, "(did you mean 'test_style'?)"),
    ({"seeds": [-1]}, "seeds.0: got -1"),
    ({"seeds": [True]}, "seeds.0: got True"),
    ({"results": ""}, "results: got ''"),
    ({"results": "a{b}"}, "results: got 'a{b}'"),
    ({"generate": {"temperature": 0, "top_p": 0.5}}, "no effect with temperature: 0"),
    ({"clip": {"pretrained": "openai"}}, "clip: pretrained has no effect on demo:clip"),
    ({"llm_definitions": {"a/b": {"kind": "file", "model": "x"}}}, "'a/b' is no name"),
    ({"loss_definitions": {"hinge": {"kind": "..a:B"}}}, "'..a:B' can't be imported"),
    ({"loss_definitions": {"hinge": {"kind": "clipdiff.losses.base:NegativesLoss"}}}, "is no Loss"),
]


@pytest.mark.parametrize(("changes", "expected"), WRONG, ids=[row[1] for row in WRONG])
def test_what_would_spoil_a_run_in_silence(values: dict, changes: dict, expected: str) -> None:
    assert expected in fault(merge(values, changes))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bert/hing/seed0", "no loss is called 'hing'; allowed: contrastive, squared, hinge"),
        ("berd/hinge/seed0", "(did you mean 'bert'?)"),
        ("bert/hinge/seedX", "expected a number after 'seed'"),
        ("pretrained", "'pretrained', which is not trained"),
    ],
)
def test_a_cell_that_cannot_be_trained(name: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(expected)):
        train_settings(load_config(DEFAULT), Cell.parse(name))


def test_naming_a_writer_changes_nothing_where_none_writes(values: dict) -> None:
    cell = Cell.of("bert", "hinge", 0)
    before = evaluate_settings(check_config(values), cell).result()
    values["evaluate"]["writer"] = "t5"
    assert evaluate_settings(check_config(values), cell).result() == before
    values["evaluate"]["pair_differences"] = "llm"
    assert evaluate_settings(check_config(values), cell).writer == "t5"


def test_gamma_and_offload_need_what_uses_them(values: dict) -> None:
    values["train"] |= {"schedule": "constant", "gamma": 0.5, "offload": True}
    text = fault(values)
    assert "train.gamma: has no effect with schedule: constant" in text
    assert "train.offload: has no effect at zero_stage 0" in text


def test_null_takes_a_key_back(values: dict) -> None:
    values["train"] |= {"gamma": None, "micro_batch": None}
    assert check_config(values).train.gamma == 0.9


def test_names_may_have_dots_and_dashes(values: dict) -> None:
    values["llm_definitions"]["gpt-3.5"] = values["llm_definitions"]["gpt3"]
    values["llms"] = ["gpt-3.5"]
    values["controls"]["llm"] = "gpt-3.5"
    rows = {str(cell.row) for cell in all_cells(check_config(values))}
    assert rows == {"pretrained", "gpt-3.5", "captions", "rewritten-gpt-3.5", "shuffled-gpt-3.5"}


def test_two_tasks_of_one_kind_on_one_split(values: dict) -> None:
    values["task_definitions"]["other"] = {"kind": "zero_shot"}
    values["evaluate"]["tasks"].append("other")
    assert "two tasks of kind 'zero_shot' on split 'validation'" in fault(values)
