"""The demo's data and one training on it, by the project's own command line.

Run where clipdiff is installed; what it writes is little enough to carry to a GPU machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The command line, which at its end writes the top-level modules that it had to load.
TRACED = """
import atexit, json, sys
path = sys.argv.pop(1)
names = lambda: sorted({name.partition(".")[0] for name in sys.modules})
atexit.register(lambda: json.dump(names(), open(path, "w")))
from clipdiff.cli import main
main()
"""


@dataclass(frozen=True)
class Cell:
    """A cell of the grid, and the configuration files that say how it is trained."""

    row: str
    loss: str
    configs: Sequence[str]

    @property
    def name(self) -> str:
        return f"{self.row}/{self.loss}/seed0"

    def model(self, results: Path) -> Path:
        return results / "models" / self.name

    def inputs(self, results: Path) -> list[Path]:
        """What a training of the text tower reads."""
        return [
            results / "embeds/image_embeds.safetensors",
            results / f"differences/{self.row}.parquet",
        ]


DEMO = Cell("t5", "contrastive", ["config.yaml"])
TINY = Cell("captions", "hinge", ["config.yaml", "config/tiny.yaml"])


def make(cell: Cell, results: Path) -> list[str]:
    """Everything up to the cell's weights, trained on the CPU; return the modules it took."""
    configs = [word for file in cell.configs for word in ("--config", file)]
    stages = [
        ["prepare"],
        ["embed"],
        ["generate", "--llm", cell.row],
        ["filter", "--llm", cell.row],
    ]
    for stage in stages:
        if stage[0] == "generate" and cell.row == "captions":
            continue
        _run(["-m", "clipdiff.cli", *stage, *configs, "--results", str(results)], {})
    modules = results / "modules.json"
    training = ["train", "--cell", cell.name, *configs, "--results", str(results)]
    _run(["-c", TRACED, str(modules), *training], {"CUDA_VISIBLE_DEVICES": ""})
    return json.loads(modules.read_text())


def train(
    settings: Mapping[str, object],
    compute: Mapping[str, object],
    results: Path,
    packages: Path,
) -> str:
    """``clipdiff train`` on prepared inputs, with ``packages`` importable; return what it said."""
    said = ["--settings", json.dumps(settings), "--compute", json.dumps(compute)]
    command = ["-m", "clipdiff.cli", "train", *said, "--results", str(results)]
    return _run(command, {"PYTHONPATH": str(packages)})


def _run(arguments: list[str], own: Mapping[str, str]) -> str:
    path = [own.get("PYTHONPATH", ""), str(ROOT), str(ROOT / "kernels")]
    path.append(os.environ.get("PYTHONPATH", ""))
    environment = os.environ | {"HF_HUB_OFFLINE": "1"} | own
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{arguments} ended with {done.returncode}:\n{done.stdout[-6000:]}")
    return done.stdout
