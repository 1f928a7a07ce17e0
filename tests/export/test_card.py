"""The exported folder and its card."""

from pathlib import Path

import pytest
import yaml

from clipdiff.config import load_config
from clipdiff.config.stages import evaluate_settings, train_settings
from clipdiff.errors import DataError, ModelError
from clipdiff.export.card import export_model
from clipdiff.files import read_json, write_json
from clipdiff.grid import Cell, Layout
from clipdiff.provenance import provenance

CELL = Cell.of("bert", "hinge", 0)


def row(task: str, metric: str, weights: str, value: float) -> dict:
    """One row of a metrics file."""
    return {
        "task": task, "split": "test_scenes", "weights": weights, "metric": metric,
        "value": value, "n": 800, "stderr": 0.01, "ci_low": value - 0.02,
        "ci_high": value + 0.02, "higher_is_better": True,
    }  # fmt: skip


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A cell's model folder and metrics file, as train and evaluate write them."""
    config, layout = load_config("config.yaml"), Layout(tmp_path / "results")
    write_json(layout.provenance(CELL), provenance(train_settings(config, CELL)))
    layout.weights(CELL).write_bytes(b"weights")
    layout.clip_config(CELL).write_text("{}")
    rows = [
        row("difference/mean", "accuracy", "finetuned", 0.712),
        row("difference/mean", "accuracy", "averaged-0.50", 0.633),
        row("zero_shot", "acc1", "finetuned", 0.801),
        row("difference/size", "accuracy", "finetuned", 0.555),
    ]
    facts = provenance(evaluate_settings(config, CELL))
    write_json(layout.metrics(CELL), {"provenance": facts, "rows": rows})
    return layout


def card(layout: Layout, output: Path) -> str:
    """Export the cell, and return its card."""
    export_model(layout, CELL, output)
    return (output / "README.md").read_text()


def test_folder_and_card(layout, tmp_path):
    _, header, body = card(layout, tmp_path / "out").split("---\n", 2)
    model = {path.name for path in layout.model(CELL).iterdir()}
    assert {path.name for path in (tmp_path / "out").iterdir()} == model | {"README.md"}
    assert (tmp_path / "out/open_clip_model.safetensors").read_bytes() == b"weights"
    assert yaml.safe_load(header)["library_name"] == "open_clip"
    assert "base_model" not in yaml.safe_load(header)  # a hub does not know demo:clip
    assert "| Difference accuracy | 0.712   | [0.692, 0.732] | 800" in body
    assert "0.801" in body
    assert "0.633" not in body  # of other weights than those in the folder
    assert "0.555" not in body
    for fact in ("bert", "hinge", "margin 0.2", "local-dir:out", "demo:clip", "epochs 3",
                 "Computed with: checkpoint_every 50"):  # fmt: skip
        assert fact in body


def test_provenance_of_an_older_version_is_read(layout, tmp_path):
    """Of before there were entries of tasks, and before computing stood apart from results."""
    for path in (layout.provenance(CELL), layout.metrics(CELL)):
        content = read_json(path)
        facts = content.get("provenance", content)
        del facts["compute"]
        facts["settings"].pop("tasks", None)
        write_json(path, content)
    text = card(layout, tmp_path / "out")
    assert "Difference accuracy" in text
    assert "Computed with" not in text


def test_a_loss_that_is_not_installed_is_told_by_its_settings(layout, tmp_path):
    facts = read_json(layout.provenance(CELL))
    facts["settings"]["loss"] = {"kind": "elsewhere.module:Loss", "sharpness": 3}
    write_json(layout.provenance(CELL), facts)
    assert "kind elsewhere.module:Loss, sharpness 3" in card(layout, tmp_path / "out")


def test_export_again_gives_the_same_bytes(layout, tmp_path):
    first = card(layout, tmp_path / "out")
    assert card(layout, tmp_path / "out") == first


def test_no_model_is_a_named_error(layout, tmp_path):
    with pytest.raises(ModelError, match="train this cell first"):
        export_model(layout, Cell.of("bert", "hinge", 7), tmp_path / "out")


def test_missing_metrics_leave_nothing_behind(layout, tmp_path):
    layout.metrics(CELL).unlink()
    with pytest.raises(DataError, match="no such file"):
        export_model(layout, CELL, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_foreign_provenance_names_what_it_lacks(layout, tmp_path):
    whole = read_json(layout.provenance(CELL))
    write_json(layout.provenance(CELL), whole | {"settings": {}})
    with pytest.raises(DataError, match="'llm'"):
        export_model(layout, CELL, tmp_path / "out")
    write_json(layout.provenance(CELL), {"settings": {}})
    with pytest.raises(DataError, match=r"provenance\.json: not a provenance \(settings_hash"):
        export_model(layout, CELL, tmp_path / "out")
