"""What a run takes, by hand, of a configuration whose numbers are round."""

import logging
from pathlib import Path

import pandas as pd
import pytest

from clipdiff.config import Config, load_config
from clipdiff.files import write_parquet
from clipdiff.grid import Layout
from clipdiff.planning import estimate as planning
from clipdiff.planning.estimate import Work, clip_parameters, estimate, prompt_tokens
from clipdiff.settings import Clip

SPEED = 1e9


@pytest.fixture(autouse=True)
def _same_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "matmul_flops", lambda: SPEED)


def works(config: Config, results: Path) -> dict[str, Work]:
    return {work.stage: work for work in estimate(config, results).works}


def configured(folder: Path, text: str) -> Config:
    path = folder / "preset.yaml"
    path.write_text(text)
    return load_config("config.yaml", path)


def test_every_stage_of_the_embedded_default_has_its_hours(tmp_path: Path) -> None:
    run = works(load_config("config.yaml"), tmp_path)
    assert list(run)[:4] == [f"generate {name}" for name in ("llama2", "gpt3", "bert", "t5")]
    training = run["train + evaluate (141 steps a cell)"]  # ceil(3000 / 64) * 3
    assert (training.jobs, training.work) == ("90", "45 cells (3 control rows)")
    assert all(float(work.hours) > 0 for work in run.values())


def test_money_and_tokens_of_a_server(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        "llms: [paid, bert]\n"
        "llm_definitions: {paid: {kind: api, model: m, prompt: plain, max_new_tokens: 50, "
        'base_url: "https://api.example.org/v1", price: {input: 0, output: 1000}}}\n',
    )
    work = works(config, tmp_path)["generate paid"]
    assert work.work == "3000 answers"
    assert work.cost == "75.00"  # 3,000 answers of 25 tokens, 1,000 for a million
    assert work.hours == "at the server"
    tokens = prompt_tokens(config.llm_definitions["paid"], "plain", tmp_path / "no.parquet")
    assert work.tokens == f"{3000 * (tokens + 25) / 1e6:.1f} M"


def test_a_table_is_read_and_weights_elsewhere_are_said_to_be(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        "llms: [table, far]\n"
        "controls: {rows: []}\n"
        "llm_definitions: {table: {kind: file, model: no.csv}, "
        "far: {kind: causal, model: org/model}}\n",
    )
    run = works(config, tmp_path)
    assert run["generate table"] == Work("generate table", "1", "a file is read")
    assert run["generate far"].hours == "weights not here"


def test_losses_with_a_recipe_of_their_own_have_a_line_of_their_own(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        "controls: {rows: []}\n"
        "loss_definitions: {hinge: {train: {trainable: both, images: 500}}}\n",
    )
    run = works(config, tmp_path)
    some = run["train + evaluate contrastive, squared (141 steps a cell)"]
    own = run["train + evaluate hinge (36 steps a cell)"]  # a quarter of the pairs
    assert (some.work, own.work) == ("24 cells (0 control rows)", "12 cells (0 control rows)")
    assert own.hours.startswith("> ")


def test_a_clip_that_is_not_here_is_a_question_mark(tmp_path: Path) -> None:
    config = configured(tmp_path, 'clip: {model: "local-dir:no/clip"}')
    work = works(config, tmp_path)["train + evaluate (141 steps a cell)"]
    assert (work.disk, work.hours) == ("?", "?")


def test_prompts_are_those_of_the_runs_pairs_once_there_are_any(tmp_path: Path) -> None:
    pairs = pd.DataFrame({"caption_1": ["one " * 60] * 3, "caption_2": ["two " * 60] * 3})
    before = works(load_config("config.yaml"), tmp_path)["generate bert"]
    write_parquet(Layout(tmp_path).pairs, pairs)
    after = works(load_config("config.yaml"), tmp_path)["generate bert"]
    assert float(after.tokens.split()[0]) > float(before.tokens.split()[0])


def test_counting_a_clip_leaves_logging_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    level = logging.root.level
    with caplog.at_level(logging.INFO):
        image, text = clip_parameters(Clip(model="demo:clip"))
    assert (image > 0, text > 0) == (True, True)
    assert not caplog.records
    assert logging.root.level == level
    logging.getLogger("clipdiff").warning("heard")
    assert "heard" in caplog.text


def test_the_measured_speed_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert planning.matmul_flops() > 1e6
