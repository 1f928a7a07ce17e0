"""What Snakemake plans where nothing is there: the whole grid, a cell, presets, wrong settings."""

from pathlib import Path

import pytest
from checkout import ROOT, dry_run, planned


def arguments(*presets: Path) -> list[str | Path]:
    """Return the command line of this checkout's workflow, with presets over the default."""
    return ["--cores", "1", "--snakefile", ROOT / "Snakefile",
            "--configfile", ROOT / "config.yaml", *presets]  # fmt: skip


def plan(folder: Path, *presets: Path, target: str = "all") -> dict[str, int]:
    """Return the jobs of a target by rule, in a folder that has no results."""
    return planned(dry_run(folder, target, *arguments(*presets)))


def test_the_whole_grid(tmp_path: Path) -> None:
    jobs = plan(tmp_path)
    assert {rule: jobs[rule] for rule in ("train", "evaluate", "generate", "filter")} == {
        "train": 45,
        "evaluate": 46,
        "generate": 5,
        "filter": 7,
    }
    assert jobs["embed"] == jobs["prepare"] == jobs["gather"] == 1


def test_one_cell_by_its_file(tmp_path: Path) -> None:
    weights = "results/models/bert/hinge/seed0/open_clip_model.safetensors"
    assert plan(tmp_path, target=weights) == dict.fromkeys(
        ["prepare", "embed", "generate", "filter", "train"], 1
    )


def test_jobs_share_an_llms_questions(tmp_path: Path) -> None:
    preset = tmp_path / "jobs.yaml"
    preset.write_text(
        "generate: {jobs: 3}\nllms: [bert, mine]\n"
        "llm_definitions: {mine: {kind: file, model: mine.csv}}\n"
    )
    jobs = plan(tmp_path, preset)
    assert jobs["generate_part"] == 3 * 3  # bert, llama2 and its rewrites; a file is read
    assert jobs["generate"] == 4


def test_llms_are_asked_what_the_evaluation_wants(tmp_path: Path) -> None:
    preset = tmp_path / "asked.yaml"
    preset.write_text(
        "llms: [bert, mine]\n"
        "evaluate: {class_differences: llm, pair_differences: llm, writer: t5,"
        "  tasks: [difference_classification, geometry]}\n"
        "llm_definitions: {mine: {kind: file, model: mine.csv}}\n"
    )
    jobs = plan(tmp_path, preset)
    assert jobs["questions"] == 1
    # bert, llama2 for the control rows, and t5 for all without an LLM that can be asked
    assert jobs["answer"] == jobs["filter_answers"] == 3


def test_a_users_own_texts_are_inputs(tmp_path: Path) -> None:
    preset = tmp_path / "own.yaml"
    preset.write_text("evaluate: {tasks: [geometry], class_differences: 'my/{llm}.parquet'}\n")
    said = dry_run(tmp_path, *arguments(preset), fails=True)
    assert "Missing input files" in said
    assert "my/llama2.parquet" in said
    (tmp_path / "my").mkdir()
    for llm in ("llama2", "gpt3", "bert", "t5"):
        (tmp_path / f"my/{llm}.parquet").touch()
    jobs = plan(tmp_path, preset)
    assert jobs["evaluate"] == 46


def test_ablations_are_cells(tmp_path: Path) -> None:
    jobs = plan(tmp_path, ROOT / "config/ablations.yaml")
    assert (jobs["train"], jobs["filter"], jobs["generate"]) == (30, 2, 1)


def test_single_preset_narrows_the_grid(tmp_path: Path) -> None:
    jobs = plan(tmp_path, ROOT / "config/single.yaml")
    assert (jobs["train"], jobs["evaluate"]) == (1, 2)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [("lossses: [hinge]\n", "did you mean 'losses'"), ("llms: []\n", "llms: got []")],
)
def test_a_wrong_setting_stops_before_any_job(tmp_path: Path, edit: str, expected: str) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(edit)
    said = dry_run(tmp_path, *arguments(wrong), fails=True)
    assert expected in said
    assert "Traceback" not in said
