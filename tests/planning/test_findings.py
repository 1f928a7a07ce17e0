"""What check says of models, data and machine; what entries say of themselves stands under keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clipdiff.config import Config, load_config
from clipdiff.planning import findings
from clipdiff.planning.findings import data_findings, data_sets, machine_findings, model_findings
from clipdiff.writers.base import Finding


def configured(folder: Path, *preset: str) -> Config:
    """Return the embedded default with some lines over it."""
    path = folder / "preset.yaml"
    path.write_text("\n".join(preset))
    return load_config("config.yaml", path)


def missing(of: Iterator[Finding]) -> list[str]:
    return [text for fine, text in of if not fine]


def test_the_embedded_default_lacks_nothing(tmp_path: Path) -> None:
    config = load_config("config.yaml")
    models = list(model_findings(config))
    assert (True, "clip: open_clip folder demo:clip") in models
    assert [text.split(":")[0] for _, text in models[2:]] == [
        f"llm_definitions.{name}" for name in config.llms
    ]
    assert not missing(model_findings(config))
    assert not missing(data_findings(config))
    assert not missing(machine_findings(config, tmp_path / "not/there/yet"))


def test_models_that_are_not_there_are_named(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        'clip: {model: "local-dir:no/clip"}',
        "llms: [bert, table]",
        "controls: {rows: []}",
        "llm_definitions:",
        "  bert: {kind: masked, model: no/such/folder, prompt: scaffold}",
        "  table: {kind: file, model: no.csv}",
    )
    clip, bert, table = missing(model_findings(config))
    assert clip == "clip: open_clip folder no/clip"
    assert bert.startswith("llm_definitions.bert: no/such/folder")
    assert table.startswith("llm_definitions.table: no.csv")


def test_only_llms_that_are_asked_are_looked_at(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        "llms: [again]",
        "controls: {rows: [], llm: bert}",
        "llm_definitions:",
        "  again: {kind: reuse, model: t5}",
        "  gpt3: {kind: causal, model: no/such/folder}",
    )
    names = [text.split(":")[0] for _, text in model_findings(config)][2:]
    assert names == ["llm_definitions.t5", "llm_definitions.bert"]


def test_a_clip_of_open_clip_is_fetched(tmp_path: Path) -> None:
    config = configured(tmp_path, "clip: {model: ViT-B-32, pretrained: openai}")
    expected = "clip: ViT-B-32 (openai), fetched by open_clip if absent"
    assert (True, expected) in list(model_findings(config))


def test_a_set_that_two_keys_name_is_told_once(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        "data:",
        "  source: table",
        "  table: no.csv",
        "  evaluation:",
        "    eurosat: {root: no/eurosat}",
        "    again: {kind: eurosat, root: no/eurosat}",
    )
    assert [keys for _, keys in data_sets(config)] == [
        ["data.table"],
        ["data.evaluation.eurosat", "data.evaluation.again"],
    ]
    table, images = missing(data_findings(config))
    assert table == "data.table: no.csv"
    assert images.startswith("data.evaluation.eurosat, data.evaluation.again: eurosat in no/euro")


def test_half_precision_needs_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(tmp_path, "train: {precision: bf16}")
    monkeypatch.setattr(findings, "gpu_names", list)
    assert missing(machine_findings(config, tmp_path)) == ["train.precision: bf16 on the CPU"]
    monkeypatch.setattr(findings, "gpu_names", lambda: ["A GPU"])
    assert not missing(machine_findings(config, tmp_path))
