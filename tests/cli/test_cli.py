"""The verbs by hand: help that teaches, checks before anything runs, errors without a traceback."""

import subprocess
from pathlib import Path

import pytest
from checkout import BIN
from command_line import clipdiff

VERBS = "prepare embed generate filter train evaluate gather trace export check estimate".split()  # noqa: SIM905


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are not broken."""
    monkeypatch.setenv("COLUMNS", "200")


def test_the_program_is_installed_and_ends_with_1_after_an_error() -> None:
    command = [BIN / "clipdiff", "gather", "--config", "no.yaml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no.yaml: can't be read as YAML" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_verb_in_the_order_of_the_data() -> None:
    text = clipdiff("--help").stdout
    places = [text.index(f" {verb} ") for verb in VERBS]
    assert places == sorted(places)


def test_check_passes_on_the_embedded_default() -> None:
    done = clipdiff("check")
    assert done.returncode == 0, done.stdout
    assert "4 LLMs x 3 losses x 3 seeds" in done.stdout
    assert "missing" not in done.stdout


def test_check_says_what_is_missing(tmp_path: Path) -> None:
    preset = tmp_path / "preset.yaml"
    preset.write_text(
        "llm_definitions: {bert: {kind: masked, model: no/such/folder, prompt: scaffold}}\n"
        "data: {source: table, table: no.csv}\n"
    )
    done = clipdiff("check", "--config", "config.yaml", "--config", preset)
    assert done.returncode == 1
    assert "missing llm_definitions.bert: no/such/folder" in done.stdout
    assert "missing data.table: no.csv" in done.stdout


def test_check_never_prints_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = tmp_path / "preset.yaml"
    preset.write_text(
        "llm_definitions: {gpt3: {kind: api, model: davinci-002, prompt: completion, "
        'base_url: "https://api.openai.com/v1", key_env: MY_KEY}}\n'
    )
    command = ("check", "--config", "config.yaml", "--config", preset)
    without = clipdiff(*command)
    monkeypatch.setenv("MY_KEY", "sk-secret")
    with_key = clipdiff(*command)
    assert (with_key.returncode, without.returncode) == (0, 1)
    assert "sk-secret" not in with_key.stdout + with_key.stderr
    assert "its key in the variable MY_KEY" in without.stdout


def test_check_of_a_cluster_begins_with_its_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = clipdiff("check", "--cluster", "profiles/slurm")
    assert done.returncode == 1
    assert "missing sbatch is not on PATH; run this on a login node" in done.stdout
    done = clipdiff("check", "--cluster", tmp_path)
    assert done.returncode != 0
    assert "config.yaml: no SLURM profile" in done.stderr


def test_check_tells_what_the_papers_preset_lacks() -> None:
    done = clipdiff("check", "--config", "config.yaml", "--config", "config/paper.yaml")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "clip: ViT-L-14 (datacomp_xl_s13b_b90k)" in done.stdout
    assert "llm_definitions.llama2_13b_chat: meta-llama/Llama-2-13b-chat-hf" in done.stdout
    assert "missing data.root: coco in datasets/coco" in done.stdout


def test_estimate_counts_jobs_and_pairs() -> None:
    done = clipdiff("estimate")
    assert done.returncode == 0, done.stderr
    assert "generate llama2" in done.stdout
    assert "45 cells" in done.stdout
    assert "weights not here" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("train",), "--cell: missing; expected ROW/LOSS/seedNUMBER"),
        (("train", "--cell", "bert/hinge"), "--cell: cell 'bert/hinge': expected ROW/LOSS/se"),
        (("train", "--variant", "llm=bert,los=hinge"), "--cell: cell 'llm=bert,los=hinge'"),
        (("generate", "--llm", "brt"), "--llm: got 'brt', allowed: llama2, gpt3, bert, t5"),
        (("gather", "--config", "no.yaml"), "no.yaml: can't be read as YAML"),
        (("embed", "--results", "/nowhere"), "/nowhere/data/captions.parquet: no such file"),
    ],
    ids=["no cell", "wrong cell", "wrong cell of old", "unknown llm", "no config", "no results"],
)
def test_errors_are_one_clear_message(arguments: tuple[str, ...], expected: str) -> None:
    done = clipdiff(*arguments)
    assert done.returncode != 0
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
