"""The plugin, installed: a grid whose loss, writer, task and data set are its own."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from checkout import Checkout, planned

pytestmark = pytest.mark.slow

PLUGIN = Path(__file__).parent
GROUPS = {
    "clipdiff.losses": "sigmoid",
    "clipdiff.writers": "rules",
    "clipdiff.tasks": "caption_recall",
    "clipdiff.datasets": "listed",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the plugin is installed into, without a network."""
    root = tmp_path_factory.mktemp("installed")
    ignore = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(PLUGIN, root / "plugin", ignore=ignore)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    install += ["--no-build-isolation", "--target", str(root / "site"), str(root / "plugin")]
    done = subprocess.run(install, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return root / "site"


def test_the_entry_points_are_there(site):
    (plugin,) = importlib.metadata.distributions(name="differences-plus", path=[str(site)])
    points = {point.group: point.name for point in plugin.entry_points}
    assert points == GROUPS


def test_a_grid_of_the_plugins_own(site, listing, tmp_path):
    preset = tmp_path / "plugin.yaml"
    preset.write_text(
        yaml.safe_dump(
            {
                "llms": ["rules"],
                "losses": ["sigmoid", "by_path"],
                "controls": {"rows": []},
                "llm_definitions": {"rules": {"kind": "rules", "most_words": 4}},
                "loss_definitions": {
                    "sigmoid": {"kind": "sigmoid"},
                    "by_path": {"kind": "differences_plus.sigmoid:Sigmoid", "bias": -1.0},
                },
                "data": {"evaluation": {"shades": {"kind": "listed", "listing": str(listing)}}},
                "evaluate": {
                    "tasks": ["caption_recall"],
                    "splits": ["test_scenes", "shades"],
                    "per_split": {"shades": {"validation": "shades_validation"}},
                    **dict.fromkeys(
                        ["pair_differences", "class_differences", "class_descriptions"]
                    ),
                },
            }
        )
    )
    checkout = Checkout(tmp_path / "checkout", preset)
    paths = [str(site), checkout.environment.get("PYTHONPATH", "")]
    checkout.environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    checkout.snakemake()
    for loss in ("sigmoid", "by_path"):
        metrics = json.loads((checkout.results / f"metrics/rules/{loss}/seed0.json").read_text())
        recall = {row["split"] for row in metrics["rows"] if row["task"] == "caption_recall"}
        assert recall == {"test_scenes", "shades"}
        log = (checkout.results / f"models/rules/{loss}/seed0/train_log.jsonl").read_text()
        losses = [json.loads(line)["loss"] for line in log.splitlines()]
        assert losses[-1] < losses[0]
    texts = pd.read_parquet(checkout.results / "generations/rules.parquet")
    assert texts["text"].str.startswith("The first image shows").all()
    assert "Caption recall@1" in (checkout.results / "report.html").read_text()
    assert planned(checkout.snakemake("--dry-run")) == {}
