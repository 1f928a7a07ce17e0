"""Entries that change a section, and entries that take others' answers."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from clipdiff.config import Config, check_config, load_config
from clipdiff.config.entries import (
    answers_of,
    asked_llm,
    filter_of,
    text_llm,
    train_of,
    trained_cells,
)
from clipdiff.config.stages import (
    evaluate_settings,
    filter_settings,
    gather_settings,
    generate_settings,
    train_settings,
)
from clipdiff.errors import ConfigError
from clipdiff.grid import PRETRAINED, Cell, Row

ENTRIES = yaml.safe_load("""
llms: [llama2, llama2_all]
losses: [hinge, hinge_both]
controls: {llm: llama2_all}
llm_definitions:
  llama2_all: {kind: reuse, model: llama2, filter: {enabled: false}}
  bert: {filter: {min_words: 2}}
loss_definitions:
  hinge_both: {kind: hinge, train: {trainable: both, batch: 128, lr: 1.0e-5}}
""")


@pytest.fixture
def values() -> dict:
    return merged(yaml.safe_load(Path("config.yaml").read_text()), ENTRIES)


def merged(old: dict, new: dict) -> dict:
    """Return ``old`` with ``new`` merged over it; both stay as they are."""
    old = copy.deepcopy(old)
    for key, value in new.items():
        old[key] = merged(old.get(key, {}), value) if isinstance(value, dict) else value
    return old


def test_an_entry_changes_the_training_of_its_cells_only(values: dict) -> None:
    before, after = load_config("config.yaml"), check_config(values)
    cell, both = Cell.of("bert", "hinge", 0), Cell.of("bert", "hinge_both", 0)
    plain, settings = train_settings(after, cell), train_settings(after, both)
    assert plain.result() == train_settings(before, cell).result()
    changes = {"trainable": "both", "batch": 128, "lr": 1e-5}
    assert settings.train.result() == plain.train.result() | changes
    assert settings.loss.result() == plain.loss.result()
    assert type(settings).model_validate(settings.result()).result() == settings.result()
    assert [
        evaluate_settings(after, each).image_tower_trained for each in (cell, both, PRETRAINED)
    ] == [
        False,
        True,
        False,
    ]


def test_settings_are_the_sections_where_nothing_is_changed() -> None:
    config = load_config("config.yaml")
    settings = train_settings(config, Cell.of("bert", "hinge", 0))
    assert settings.train == config.train
    assert "train" not in settings.result()["loss"]
    assert filter_settings(config, Row("bert")).filter == config.filter
    assert "filter" not in generate_settings(config, Row("bert")).result()["definition"]


def test_a_part_of_the_texts_is_an_axis_too(values: dict) -> None:
    values["loss_definitions"]["hinge_both"]["train"] = {"pairs": 500, "images": 300}
    train = train_of(check_config(values), "hinge_both")
    assert (train.pairs, train.images) == (500, 300)
    assert train.model_dump()["pairs"] == 500


def test_whose_answers_a_row_is_made_of(values: dict) -> None:
    config = check_config(values)
    rows = {
        "llama2": ("llama2", "llama2"),
        "llama2_all": ("llama2", "llama2"),
        "rewritten-llama2": ("rewritten-llama2", "llama2"),
        "rewritten-llama2_all": ("rewritten-llama2", "llama2"),
        "shuffled-llama2_all": ("llama2", "llama2"),
        "captions": (None, None),
    }
    for name, (answers, asked) in rows.items():
        row = Row.parse(name)
        assert answers_of(config, row) == (None if answers is None else Row.parse(answers))
        assert asked_llm(config, row) == asked
    for name in ("llama2_all", "rewritten-llama2_all", "shuffled-llama2_all"):
        assert not filter_of(config, Row.parse(name)).enabled
    assert filter_of(config, Row("bert")).min_words == 2
    plain = [filter_of(config, Row.parse(name)) for name in ("captions", "llama2")]
    assert plain == [config.filter] * 2


def test_an_entry_that_reuses_answers_asks_nothing(values: dict) -> None:
    config = check_config(values)
    assert filter_settings(config, Row.parse("llama2_all")).answers == "llama2"
    assert filter_settings(config, Row.parse("rewritten-llama2_all")).answers == "rewritten-llama2"
    assert text_llm(config, Row.parse("llama2_all")) == "llama2"
    assert gather_settings(config).answers == {"llama2": "llama2", "llama2_all": "llama2"}
    with pytest.raises(ConfigError, match="'llama2_all' itself; it takes the answers of 'llama2'"):
        generate_settings(config, Row.parse("llama2_all"))
    with pytest.raises(ConfigError, match="no LLM is asked for 'captions'"):
        generate_settings(config, Row.parse("captions"))


def test_editing_an_entry_changes_its_cells_only() -> None:
    presets = ("config.yaml", "config/ablations.yaml")
    before = load_config(*presets)
    values = merged(*(yaml.safe_load(Path(path).read_text()) for path in presets))
    values["loss_definitions"]["hinge_pairs750"]["train"]["epochs"] = 11
    values["llm_definitions"]["llama2_long"]["filter"]["min_words"] = 30
    after, cells = check_config(values), trained_cells(before)
    trained = {cell.loss for cell in cells if differs(train_settings, before, after, cell)}
    rows = map(Row, before.llms)
    filtered = {row.llm for row in rows if differs(filter_settings, before, after, row)}
    assert (trained, filtered) == ({"hinge_pairs750"}, {"llama2_long"})
    assert not any(differs(evaluate_settings, before, after, cell) for cell in cells)
    assert not differs(generate_settings, before, after, Row("llama2"))


def differs(cut: Callable, before: Config, after: Config, cell: Cell | Row) -> bool:
    """Return whether what decides a job's numbers differs."""
    return cut(before, cell).result() != cut(after, cell).result()


TRAIN = "loss_definitions.hinge_both.train"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"batchh": 2}, f"{TRAIN}.batchh: unknown key (did you mean 'batch'?)"),
        ({"lr": "fast"}, f"{TRAIN}.lr: got 'fast'"),
        ({"trainable": "bothh"}, f"{TRAIN}.trainable: got 'bothh', allowed: 'transformer'"),
        ({"micro_batch": 256}, f"{TRAIN}.micro_batch: got 256 on 1 rank(s), allowed: at most"),
        ({"batch": 2, "ranks": 4}, f"{TRAIN}.batch: got 2, expected at least {TRAIN}.ranks (4)"),
        ({"pairs": 3001}, f"{TRAIN}.pairs: got 3001, allowed: at most data.pairs (3000)"),
        ({"images": 1001}, f"{TRAIN}.images: got 1001, allowed: at most data.train_images (1000)"),
        ({"images": 1}, f"{TRAIN}.images: got 1"),
    ],
)
def test_faults_of_a_changed_section(values: dict, change: dict, expected: str) -> None:
    values["loss_definitions"]["hinge_both"]["train"] = change
    with pytest.raises(ConfigError) as caught:
        check_config(values)
    assert expected in str(caught.value)
    assert "1 fault(s)" in str(caught.value)


def test_a_changed_section_is_checked_as_a_whole(values: dict) -> None:
    values["train"]["micro_batch"] = 64
    values["loss_definitions"]["hinge_both"]["train"] = {"batch": 32}
    with pytest.raises(ConfigError, match=r"hinge_both.train.micro_batch: got 64 .*= 32"):
        check_config(values)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model": "lama2"}, "llama2_all.model: got 'lama2', allowed: llama2, gpt3, bert, t5"),
        ({"model": "llama2_all"}, "llama2_all.model: got 'llama2_all', allowed: llama2"),
        ({"model": "bert"}, "controls.llm: 'bert' is of kind 'masked', which can't rewrite"),
        ({"prompt": "chat"}, "llama2_all.prompt: unknown key"),
        ({"filter": {"min_word": 1}}, "llama2_all.filter.min_word: unknown key (did you mean"),
    ],
)
def test_faults_of_an_entry_that_reuses_answers(values: dict, change: dict, expected: str) -> None:
    values["llm_definitions"]["llama2_all"] |= change
    with pytest.raises(ConfigError) as caught:
        check_config(values)
    assert expected in str(caught.value)
    assert "1 fault(s)" in str(caught.value)
