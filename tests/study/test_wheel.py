"""The package from a wheel: it holds every file, and a study runs with it outside any checkout."""

import subprocess
import zipfile
from pathlib import Path

import pytest
from checkout import ROOT, planned
from installed import Installed

PRESET = """
llms: [bert]
losses: [hinge]
seeds: [0]
controls: {rows: [], llm: bert}
data: {train_images: 40, validation_images: 60, test_images: 40, pairs: 64}
train: {batch: 32, epochs: 1}
evaluate:
  {tasks: [zero_shot, difference_classification], draws: 1, images_per_draw: 30, pairs_per_draw: 20,
   resamples: 50, wise_alphas: [1.0]}
generate: {swapped: 4}
gather: {example_pairs: 2}
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The package from a wheel; built and installed once."""
    made = Installed(tmp_path_factory.mktemp("installed"))
    made.build()
    return made


def files(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}


def test_a_wheel_holds_every_file_of_the_package_and_the_workflow(installed: Installed) -> None:
    (wheel,) = installed.wheels.iterdir()
    (direct,) = (installed.folder / "direct").iterdir()
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "clipdiff", "kernels/clipdiff_kernels"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    expected = {name.removeprefix("kernels/") for name in listed if (ROOT / name).is_file()}
    for name in ("rules", "envs", "profiles", "config"):
        there = (path for path in (ROOT / name).rglob("*") if path.is_file())
        expected |= {f"clipdiff/workflow/{path.relative_to(ROOT)}" for path in there}
    assert files(wheel) == files(direct) == expected


def test_a_study_plans_with_the_wheel_alone(installed: Installed, tmp_path: Path) -> None:
    where = installed.run("python -c 'import clipdiff; print(clipdiff.__file__)'", tmp_path)
    assert where.stdout.startswith(str(installed.folder / "venv")), where.stderr
    done = installed.run(
        "clipdiff init mystudy --preset demo && cd mystudy && "
        "snakemake --profile profiles/local -n",
        tmp_path,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert planned(said)["train"] == 45


@pytest.mark.slow
def test_a_study_runs_to_its_report_with_the_wheel_alone(
    installed: Installed, tmp_path: Path
) -> None:
    (tmp_path / "part.yaml").write_text(PRESET)
    done = installed.run(
        "clipdiff init mystudy && cd mystudy && clipdiff check && "
        "snakemake --profile profiles/local --configfile ../part.yaml",
        tmp_path,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    folder = tmp_path / "mystudy"
    assert (folder / "results/report.html").is_file()
    assert "bert,hinge" in (folder / "results/tables/metrics.csv").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"part.yaml", "mystudy"}
