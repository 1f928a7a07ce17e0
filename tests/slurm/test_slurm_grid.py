"""A small grid through ``snakemake --profile slurm``, typed literally, to its report."""

import pandas as pd
import pytest
from login_node import Login
from one_machine import Cluster

from clipdiff.tables.reading.job_costs import job_costs

pytestmark = pytest.mark.slow
ROWS = 3  # an LLM's, a control's and the pretrained one


@pytest.fixture(scope="module")
def grid(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Login:
    """Every stage, made by jobs; few of each, for a job is two Snakemakes and ten seconds."""
    preset = tmp_path_factory.mktemp("presets") / "few.yaml"
    preset.write_text("llms: [bert]\nlosses: [hinge]\ncontrols: {rows: [shuffled], llm: bert}\n")
    login = Login(tmp_path_factory.mktemp("grid"), preset)
    login.finish(login.start())
    return login


def test_the_report_is_there(grid):
    results = grid.folder / "results"
    assert (results / "report.html").is_file()
    table = pd.read_csv(results / "tables/metrics.csv")
    assert len(set(zip(table["llm"], table["loss"], strict=True))) == ROWS
    assert not grid.half_written()


def test_gpu_jobs_had_a_gpu_and_cpu_jobs_the_other_partition(grid):
    asked = {}
    for row in grid.jobs("%k|%P|%b"):
        comment, partition, gres = row.split("|")
        rule = comment.removeprefix("rule_").split("_wildcards_")[0]
        asked.setdefault(rule, set()).add((partition, gres))
    assert asked["prepare"] == asked["gather"] == {("cpu", "N/A")}
    assert asked["train"] == {("gpu", "gres:gpu:1")}


def test_the_report_counts_gpu_hours(grid):
    jobs = job_costs(grid.folder / "results/benchmarks").set_index("rule")
    assert (jobs.loc["train", "gpu_seconds"] == jobs.loc["train", "seconds"]).all()
    assert (jobs.loc[["filter", "prepare"], "gpu_seconds"] == 0).all()
    assert "GPU time" in (grid.folder / "results/report.html").read_text()


def test_small_jobs_went_out_together(grid):
    assert sum("evaluate" in row for row in grid.jobs("%k")) == 1  # of all rows
