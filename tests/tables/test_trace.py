"""``clipdiff trace``: from a number to its items, images and model, and what does not fit."""

import hashlib

import pandas as pd
import pytest
from typer.testing import CliRunner

from clipdiff.cli import app
from clipdiff.config.stages import train_settings
from clipdiff.errors import ConfigError, DataError
from clipdiff.files import read_json, read_parquet, write_json, write_parquet
from clipdiff.grid import PRETRAINED, Cell
from clipdiff.provenance import LossKernels, provenance

CELL = Cell.of("bert", "hinge", 0)


@pytest.fixture
def traced(own):
    """A results folder with one cell's model and the answers that it was trained on."""
    own.layout.weights(CELL).write_bytes(b"weights")
    kernels = LossKernels(backend="chunked", precision="fp32", reason="cpu, N / M = 1.30")
    write_json(own.layout.provenance(CELL), provenance(train_settings(own.config, CELL), kernels))
    answers = {"llm": "bert", "model": "org/bert", "prompt_version": "scaffold-1", "seed": 0}
    write_parquet(own.layout.generations("bert"), pd.DataFrame([answers] * 30))
    facts = read_json(own.layout.metrics(CELL))
    facts["provenance"]["date"] = "2999-01-01T00:00:00+00:00"  # after the model
    write_json(own.layout.metrics(CELL), facts)
    return own


def trace(built, *extra: str, metric="difference/size:accuracy", cell=str(CELL)) -> str:
    """Run the verb, and return what it prints or raise what it raises."""
    command = ["trace", "--cell", cell, "--metric", metric, "--split", "test_scenes"]
    command += ["--results", str(built.layout.root), *extra]
    return CliRunner().invoke(app, command, catch_exceptions=False).stdout


def test_value_items_images_and_model_are_told(traced):
    found = trace(traced)
    table = read_parquet(traced.layout.items(CELL))
    here = (table["task"] == "difference/size") & (table["split"] == "test_scenes")
    here &= (table["metric"] == "accuracy") & (table["weights"] == "finetuned")
    assert f"= {table.loc[here, 'value'].mean():.6f} " in found
    assert "made again from 20 items: the same" in found
    worst = table[here].sort_values(["value", "item_id"]).iloc[0]
    assert f"item {worst['item_id']}: value {worst['value']:.6f}" in found
    shown = traced.captions.set_index("image_id").loc[worst["image_id_1"], "caption"]
    assert repr(shown) in found
    assert hashlib.sha256(b"weights").hexdigest() in found
    assert "30 rows by bert (org/bert), prompt scaffold-1, seed 0" in found
    kept = read_parquet(traced.layout.differences("bert"))["kept"]
    assert f"{len(kept)} rows, {kept.sum()} kept" in found
    assert "chunked, products in fp32 (cpu, N / M = 1.30)" in found
    assert "not those of the evaluation" in found  # the items are planted, not drawn
    assert "another CLIP" not in found
    assert "newer than its metrics" not in found


@pytest.mark.parametrize(
    ("metric", "count"),
    [("difference/mean:accuracy", 80), ("zero_shot:acc1", 40), ("clip_score:edit", 20)],
)
def test_pooled_and_single_image_metrics_are_made_again(traced, metric, count):
    assert f"made again from {count} items: the same" in trace(traced, metric=metric)


def test_why_a_text_can_not_be_told_is_what_its_task_says(traced):
    content = read_json(traced.layout.metrics(CELL))
    content["provenance"]["settings"]["evaluate"]["tasks"] = ["clip_score"]
    write_json(traced.layout.metrics(CELL), content)
    found = trace(traced, metric="zero_shot:acc1")
    assert "its text can't be told: its settings have no task 'zero_shot'" in found
    assert "image " in found
    del content["provenance"]["settings"]["tasks"]
    write_json(traced.layout.metrics(CELL), content)
    found = trace(traced, metric="difference/mean:accuracy")
    assert "its text can't be told: settings of another version" in found
    assert "made again from 80 items: the same" in found


def test_pretrained_has_no_model(traced):
    found = trace(traced, "--item", "7", cell="pretrained")
    assert found.count("item ") == 1
    assert "item 7: value" in found
    assert str(PRETRAINED) in found
    assert "the CLIP itself" in found


def test_items_that_say_otherwise_are_told(traced):
    path = traced.layout.items(CELL)
    table = read_parquet(path)
    write_parquet(path, table.assign(value=table["value"] * 0.5))
    assert "WARNING: made again from 20 items" in trace(traced)


def test_what_does_not_fit_together_is_told(traced):
    path = traced.layout.provenance(CELL)
    facts = read_json(path)
    facts["settings"] |= {"seed": 5, "clip": {**facts["settings"]["clip"], "model": "other"}}
    write_json(path, facts | {"git_commit": "abc-dirty", "date": "3000-01-01T00:00:00+00:00"})
    found = trace(traced)
    for text in (
        "bert/hinge/seed5, not bert/hinge/seed0",
        "trained at commit abc-dirty, measured at",
        "newer than its metrics",
        "another CLIP",
        "the file was edited",
        "training: made by code that its commit does not hold",
    ):
        assert text in found
    traced.layout.generations("bert").unlink()
    assert "answers: none of its own" in trace(traced)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cell": "brt/hinge/seed0"}, r"did you mean 'bert/hinge/seed0'"),
        ({"metric": "difference/sise:accuracy"}, r"no task.*did you mean 'difference/size'"),
        ({"metric": "zero_shot:acc"}, r"no metric 'acc' \(did you mean 'acc1'\?\)"),
    ],
)
def test_wrong_names_are_told_with_the_nearest(traced, changes, said):
    with pytest.raises(DataError, match=said):
        trace(traced, **changes)


def test_wrong_item_weights_metric_and_missing_model_are_told(traced):
    with pytest.raises(DataError, match=r"no item 99, the nearest is 19; there are 20, 0 to 19"):
        trace(traced, "--item", "99")
    with pytest.raises(DataError, match=r"no weights 'averaged-0.5' \(did you mean 'averaged-0"):
        trace(traced, "--weights", "averaged-0.5")
    with pytest.raises(ConfigError, match="expected TASK:METRIC"):
        trace(traced, metric="acc1")
    traced.layout.weights(CELL).unlink()
    with pytest.raises(DataError, match="train the cell again"):
        trace(traced)
    write_json(traced.layout.metrics(CELL), {"rows": []})
    with pytest.raises(DataError, match="not a metrics file"):
        trace(traced)
