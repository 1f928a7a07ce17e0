"""What Snakemake plans: the whole grid, one variant, and what an edit reruns."""

import subprocess
import sys
from pathlib import Path

import pytest

SNAKEMAKE = Path(sys.executable).parent / "snakemake"


def plan(folder: Path, *arguments: str) -> str:
    """Dry-run in an empty results folder; returns what would be done."""
    root = Path.cwd()
    command = [SNAKEMAKE, "-n", "--cores", "1", "--directory", folder]
    command += ["--configfile", root / "config.yaml", "--snakefile", root / "Snakefile"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def jobs(text: str, rule: str) -> int:
    """Return the count of one rule in Snakemake's job table."""
    rows = [line.split() for line in text.splitlines()]
    return next((int(row[1]) for row in rows if len(row) == 2 and row[0] == rule), 0)


def test_the_whole_grid(tmp_path: Path) -> None:
    text = plan(tmp_path)
    assert {rule: jobs(text, rule) for rule in ("train", "evaluate", "generate", "filter")} == {
        "train": 45,
        "evaluate": 46,
        "generate": 5,
        "filter": 7,
    }
    assert jobs(text, "embed") == jobs(text, "prepare") == jobs(text, "gather") == 1


def test_one_variant_by_its_file(tmp_path: Path) -> None:
    text = plan(tmp_path, "results/models/bert/hinge/seed0/open_clip_model.safetensors")
    assert jobs(text, "train") == jobs(text, "generate") == jobs(text, "filter") == 1
    assert jobs(text, "evaluate") == jobs(text, "gather") == 0


def test_jobs_share_an_llms_questions(tmp_path: Path) -> None:
    preset, root = tmp_path / "jobs.yaml", Path.cwd()
    preset.write_text(
        "generate: {jobs: 3}\nllms: [bert, mine]\n"
        "llm_definitions: {mine: {kind: file, model: mine.csv}}\n"
    )
    text = plan(tmp_path, "--configfile", root / "config.yaml", preset)
    assert jobs(text, "generate_part") == 3 * 3  # bert, llama2 and its rewrites; a file is read
    assert jobs(text, "generate") == 4


def test_llms_are_asked_what_the_evaluation_wants(tmp_path: Path) -> None:
    preset, root = tmp_path / "asked.yaml", Path.cwd()
    preset.write_text(
        "llms: [bert, mine]\n"
        "evaluate: {class_differences: llm, pair_differences: llm, writer: t5,"
        "  tasks: [difference_classification, geometry]}\n"
        "llm_definitions: {mine: {kind: file, model: mine.csv}}\n"
    )
    text = plan(tmp_path, "--configfile", root / "config.yaml", preset)
    assert jobs(text, "questions") == 1
    # bert, llama2 for the control rows, and t5 for all without an LLM that can be asked
    assert jobs(text, "answer") == jobs(text, "filter_answers") == 3


def test_a_users_own_texts_are_inputs(tmp_path: Path) -> None:
    preset, root = tmp_path / "own.yaml", Path.cwd()
    preset.write_text("evaluate: {tasks: [geometry], class_differences: 'my/{llm}.parquet'}\n")
    command = [SNAKEMAKE, "-n", "--cores", "1", "--directory", tmp_path, "--configfile"]
    command += [root / "config.yaml", preset, "--snakefile", root / "Snakefile"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Missing input files" in done.stdout + done.stderr
    assert "my/llama2.parquet" in done.stdout + done.stderr
    (tmp_path / "my").mkdir()
    for llm in ("llama2", "gpt3", "bert", "t5"):
        (tmp_path / f"my/{llm}.parquet").touch()
    text = plan(tmp_path, "--configfile", root / "config.yaml", preset)
    assert jobs(text, "evaluate") == 46


def test_ablations_are_cells(tmp_path: Path) -> None:
    root = Path.cwd()
    text = plan(tmp_path, "--configfile", root / "config.yaml", root / "config/ablations.yaml")
    assert (jobs(text, "train"), jobs(text, "filter"), jobs(text, "generate")) == (30, 2, 1)


def test_single_preset_narrows_the_grid(tmp_path: Path) -> None:
    root = Path.cwd()
    text = plan(tmp_path, "--configfile", root / "config.yaml", root / "config/single.yaml")
    assert (jobs(text, "train"), jobs(text, "evaluate")) == (1, 2)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [("lossses: [hinge]\n", "did you mean 'losses'"), ("llms: []\n", "llms: got []")],
)
def test_a_wrong_setting_stops_before_any_job(tmp_path: Path, edit: str, expected: str) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(edit)
    command = [SNAKEMAKE, "-n", "--cores", "1", "--configfile", "config.yaml", wrong]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert expected in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
