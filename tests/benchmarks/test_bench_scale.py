"""A grid of 10,000 cells: how long it takes to plan, and to gather its metrics.

``pytest tests/benchmarks --benchmark-only -k scale -s``
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from clipdiff.config import load_config
from clipdiff.config.entries import all_cells
from clipdiff.grid import Layout
from clipdiff.provenance import provenance
from clipdiff.settings import Section
from clipdiff.tables.reading.metrics_files import read_metrics

LLMS, LOSSES, SEEDS = 100, 10, 10
ROWS = 60  # of one metrics file, as the demo's have
SNAKEMAKE = Path(sys.executable).parent / "snakemake"


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    """A preset of 100 LLM entries x 10 losses x 10 seeds, without controls."""
    llms = {f"llm{n}": {"kind": "causal", "model": f"org/model{n}"} for n in range(LLMS)}
    losses = {f"hinge{n}": {"kind": "hinge", "margin": 0.1 * (n + 1)} for n in range(LOSSES)}
    path = tmp_path / "large.yaml"
    grid = {"llms": list(llms), "losses": list(losses), "seeds": list(range(SEEDS))}
    controls = {"rows": [], "llm": "llm0", "seeds": []}
    definitions = {"llm_definitions": llms, "loss_definitions": losses}
    path.write_text(yaml.safe_dump({**grid, "controls": controls, **definitions}))
    return path


def test_bench_scale_dry_run(benchmark, preset: Path, tmp_path: Path) -> None:
    """``snakemake --dry-run`` of everything, from nothing."""
    command = [SNAKEMAKE, "-n", "--quiet", "all", "--cores", "1", "--directory", tmp_path]
    command += ["--snakefile", "Snakefile", "--configfile", "config.yaml", preset]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    benchmark.pedantic(
        lambda: subprocess.run(command, check=True, env=environment, capture_output=True), rounds=1
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    benchmark.extra_info["peak_gib"] = round(peak, 2)
    sys.stdout.write(f"\nplanned {LLMS * LOSSES * SEEDS} cells, {peak:.2f} GiB at most\n")


def test_bench_scale_gather(benchmark, preset: Path, tmp_path: Path) -> None:
    """10,001 metrics files into the long table."""
    cells, layout = all_cells(load_config("config.yaml", preset)), Layout(tmp_path)
    row = {"task": "zero_shot", "split": "test", "weights": "finetuned", "metric": "acc1"}
    row |= {"value": 0.5, "n": 1000, "stderr": 0.01, "ci_low": 0.4, "ci_high": 0.6}
    row |= {"higher_is_better": True}
    facts = {"provenance": provenance(Section()), "rows": [row] * ROWS}
    text = json.dumps(facts)
    for cell in cells:
        path = layout.metrics(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    table, _ = benchmark.pedantic(read_metrics, args=(layout, cells), rounds=1)
    assert len(table) == ROWS * (LLMS * LOSSES * SEEDS + 1)
