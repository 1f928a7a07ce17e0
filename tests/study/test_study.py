"""What ``clipdiff init`` writes: whole, valid, nothing overwritten; and that it plans."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkout import ROOT, dry_run, planned
from command_line import clipdiff

from clipdiff import __version__, workflow
from clipdiff.config import load_config, stages
from clipdiff.config.entries import all_cells, grid_rows, trained_cells
from clipdiff.errors import ConfigError
from clipdiff.study import PRESETS, write_study

FILES = {
    ".gitignore",
    "README.md",
    "Snakefile",
    "config.schema.json",
    "config.yaml",
    "profiles/README.md",
    "profiles/local/config.yaml",
    "profiles/slurm/config.yaml",
    "slurm",
}


def plan(folder: Path, *arguments: str | Path, profile: str = "profiles/local") -> dict[str, int]:
    """Return the jobs that Snakemake plans in a study, by rule."""
    return planned(dry_run(folder, "--profile", profile, *arguments))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The demo's study."""
    write_study(tmp_path / "study", "demo")
    return tmp_path / "study"


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_whole_study(tmp_path: Path, preset: str) -> None:
    folder = tmp_path / "some/study"
    assert set(write_study(folder, preset)) == FILES
    assert {name for name in FILES if (folder / name).exists()} == FILES
    load_config(folder / "config.yaml")
    first = (folder / "config.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=config.schema.json"
    assert json.loads((folder / "config.schema.json").read_text())["properties"]["llms"]
    told = (folder / "README.md").read_text()
    assert told.startswith("# study\n")
    assert f"clipdiff check\n{PRESETS[preset].run}\n" in told
    for name in ("README.md", "Snakefile"):
        assert f"made by clipdiff {__version__}" in (folder / name).read_text().lower()
    assert not list(folder.rglob("*.tmp"))


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine")
    (tmp_path / "slurm").symlink_to("nowhere")
    with pytest.raises(ConfigError, match=r"has config\.yaml, slurm already"):
        write_study(tmp_path, "demo")
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "slurm"}
    assert (tmp_path / "config.yaml").read_text() == "mine"


def test_a_folder_with_a_users_table_takes_a_study(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("image,caption,split\n")
    write_study(tmp_path, "own")
    assert (tmp_path / "my.csv").read_text() == "image,caption,split\n"


def test_an_unknown_preset_and_a_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"allowed: demo, paper, own .did you mean 'paper'"):
        write_study(tmp_path / "study", "papers")
    assert not (tmp_path / "study").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="a file; name a folder"):
        write_study(tmp_path / "file", "demo")


def test_the_papers_preset_is_the_same_alone_as_over_the_default() -> None:
    alone = load_config("config/paper.yaml")
    merged = load_config("config.yaml", "config/paper.yaml")
    assert all_cells(alone) == all_cells(merged)
    cuts = [stages.prepare_settings, stages.embed_settings, stages.questions_settings]
    pairs = [(cut(alone), cut(merged)) for cut in [*cuts, stages.gather_settings]]
    for row in grid_rows(alone):
        for cut in (stages.generate_settings, stages.filter_settings):
            pairs.append((cut(alone, row), cut(merged, row)))
    pairs += [
        (cut(alone, cell), cut(merged, cell))
        for cell in trained_cells(alone)
        for cut in (stages.train_settings, stages.evaluate_settings)
    ]
    assert all(first.result() == second.result() for first, second in pairs)


def test_a_study_plans_what_the_checkouts_workflow_does_there(study: Path, tmp_path: Path) -> None:
    jobs, slurm = plan(study), plan(study, profile="slurm")
    assert jobs == slurm
    assert (jobs.pop("study"), jobs["train"], jobs["evaluate"]) == (1, 45, 46)
    local = ROOT / "profiles/local"
    elsewhere = ["--snakefile", ROOT / "Snakefile", "--directory", study]
    checkouts = plan(tmp_path, *elsewhere, profile=str(local))
    assert checkouts.pop("all") == 1
    assert jobs == checkouts


def test_results_lie_where_the_configuration_says(study: Path, tmp_path: Path) -> None:
    cell = "models/bert/hinge/seed0/open_clip_model.safetensors"
    (study / "place.yaml").write_text("results: other\n")
    assert plan(study, "--configfile", "place.yaml", "--", f"other/{cell}")["train"] == 1
    place = tmp_path / "else where"
    assert plan(study, "--config", f"results={place}", "--", f"{place}/{cell}")["train"] == 1


def test_names_may_have_dots_and_dashes(study: Path) -> None:
    preset = study / "names.yaml"
    preset.write_text(
        "llms: [gpt-3.5]\nlosses: [hinge-0.5]\nseeds: [0]\n"
        "controls: {rows: [shuffled, rewritten], llm: gpt-3.5, seeds: [0]}\n"
        "llm_definitions: {gpt-3.5: {kind: causal, model: 'demo:llama', prompt: chat}}\n"
        "loss_definitions: {hinge-0.5: {kind: hinge, margin: 0.5}}\n"
    )
    jobs = plan(study, "--configfile", preset)
    expected = {"train": 3, "evaluate": 4, "generate": 2, "filter": 3}
    assert {rule: jobs[rule] for rule in expected} == expected
    target = "results/metrics/shuffled-gpt-3.5/hinge-0.5/seed0.json"
    assert plan(study, "--configfile", preset, "--", target)["generate"] == 1


@pytest.mark.parametrize(
    ("preset", "lacks"),
    [
        ("demo", []),
        ("own", ["data.table: my.csv"]),
        ("paper", ["data.root: coco in datasets/coco", "llm_definitions.gpt3_5_instruct"]),
    ],
)
def test_check_explains_what_a_study_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str, lacks: list[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    folder = tmp_path / "study"
    made = clipdiff("init", folder, "--preset", preset)
    assert made.returncode == 0, made.stderr
    assert f"cd {folder} && clipdiff check" in made.stdout
    assert PRESETS[preset].run in made.stdout
    done = clipdiff("check", folder=folder)
    assert "Traceback" not in done.stderr
    assert done.returncode == bool(lacks), done.stdout + done.stderr
    assert all(f"missing {fault}" in done.stdout for fault in lacks)
    again = clipdiff("init", folder, "--preset", preset)
    assert again.returncode == 1
    assert "overwrites nothing" in again.stderr


def test_pip_fills_in_what_the_conda_environment_installs(tmp_path: Path) -> None:
    environment = yaml.safe_load((workflow.FOLDER / "envs/clipdiff.yaml").read_text())
    (tmp_path / "copied.txt").write_text("\n".join(environment["dependencies"][-1]["pip"]))
    (tmp_path / "pins.txt").write_text("pytest\n")
    values = {"CLIPDIFF_REQUIREMENTS": "pins.txt", "CLIPDIFF_PACKAGE": "no-such-package==1"}
    assert set(values) == set(workflow.PIP_VARIABLES)
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--no-index"]
    done = subprocess.run(
        [*pip, "-r", "copied.txt"],
        cwd=tmp_path,
        env={**os.environ, **values},
        capture_output=True,
        text=True,
    )
    assert "(from -r pins.txt" in done.stdout
    assert "No matching distribution found for no-such-package==1" in done.stderr
    requirements, package = workflow.PIP_VARIABLES.values()
    assert (requirements, package) == (str(ROOT / "requirements.txt"), f"-e {ROOT}")
