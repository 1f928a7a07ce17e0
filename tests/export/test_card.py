"""The exported folder and its card."""

import json
from pathlib import Path

import pytest
import yaml

from clipdiff.config import load_config
from clipdiff.config.stages import evaluate_settings, train_settings
from clipdiff.errors import DataError, ModelError
from clipdiff.export.card import export_model
from clipdiff.grid import Variant
from clipdiff.provenance import provenance

CELL = Variant("bert", "hinge", "0")


def row(task: str, metric: str, weights: str, value: float) -> dict:
    """One row of a metrics file."""
    return {
        "task": task, "split": "test_scenes", "weights": weights, "metric": metric,
        "value": value, "n": 800, "stderr": 0.01, "ci_low": value - 0.02,
        "ci_high": value + 0.02, "higher_is_better": True,
    }  # fmt: skip


@pytest.fixture
def cell(tmp_path: Path) -> tuple[Path, Path]:
    """A model folder and its metrics file, as train and evaluate write them."""
    config = load_config("config.yaml")
    model, metrics = tmp_path / "seed0", tmp_path / "seed0.json"
    model.mkdir()
    (model / "open_clip_model.safetensors").write_bytes(b"weights")
    (model / "open_clip_config.json").write_text("{}")
    trained = provenance(train_settings(config, CELL))
    (model / "provenance.json").write_text(json.dumps(trained))
    rows = [
        row("difference/mean", "accuracy", "finetuned", 0.712),
        row("difference/mean", "accuracy", "averaged-0.50", 0.633),
        row("zero_shot", "acc1", "finetuned", 0.801),
        row("difference/size", "accuracy", "finetuned", 0.555),
    ]
    measured = {"provenance": provenance(evaluate_settings(config, CELL)), "rows": rows}
    metrics.write_text(json.dumps(measured))
    return model, metrics


def test_folder_and_card(cell, tmp_path):
    model, metrics = cell
    export_model(model, metrics, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {path.name for path in model.iterdir()} | {"README.md"}
    assert (tmp_path / "out/open_clip_model.safetensors").read_bytes() == b"weights"
    _, header, body = (tmp_path / "out/README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(header)["library_name"] == "open_clip"
    assert "| 0.712   | [0.692, 0.732] | 800" in body
    assert "0.801" in body
    assert "0.633" not in body  # of other weights than those in the folder
    assert "0.555" not in body
    for fact in ("bert", "hinge", "margin 0.2", "local-dir:out", "clipdiff/demo/assets/clip"):
        assert fact in body


def test_export_again_gives_the_same_bytes(cell, tmp_path):
    model, metrics = cell
    export_model(model, metrics, tmp_path / "out")
    first = (tmp_path / "out/README.md").read_bytes()
    export_model(model, metrics, tmp_path / "out")
    assert (tmp_path / "out/README.md").read_bytes() == first


def test_no_model_is_a_named_error(cell, tmp_path):
    with pytest.raises(ModelError, match="train this cell first"):
        export_model(tmp_path / "nowhere", cell[1], tmp_path / "out")


def test_missing_metrics_leave_nothing_behind(cell, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        export_model(cell[0], tmp_path / "none.json", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_foreign_provenance_names_what_it_lacks(cell, tmp_path):
    (cell[0] / "provenance.json").write_text('{"settings": {}}')
    with pytest.raises(DataError, match="'clip'"):
        export_model(*cell, tmp_path / "out")
