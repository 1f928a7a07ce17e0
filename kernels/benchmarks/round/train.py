"""The whole ``clipdiff train`` on the demo's data, and its weights beside those of a CPU."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import demo_training
import harness
import torch
from torch import Tensor

from .record import Record

SECONDS = 60
# Run: precision, ZeRO stage, and how far from the CPU's losses (over their mean) and weights (over
# how far these went) it may end. Adam makes steps of gradients that are rounding noise.
RUNS = {
    "bf16, ZeRO 1": ("bf16", 1, 0.1, 0.5),
    "fp32, ZeRO 1": ("fp32", 1, 0.02, 0.1),
}
BEFORE = demo_training.ROOT / "clipdiff/demo/assets/clip/open_clip_model.safetensors"
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}


def run(record: Record) -> None:
    """A row ``training`` for each run; ``unavailable`` where nothing was carried."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, packages = record.carried, Path(scratch) / "packages"
        cell = demo_training.DEMO
        if record.dry:
            folder, cell = Path(scratch), demo_training.TINY
            demo_training.make(cell, folder / "results")
            cell.model(folder / "results").rename(folder / "reference")
        elif not (folder / "reference").is_dir():
            why = f"no {folder}: run carry.py where clipdiff is installed, and bring what it makes"
            record.add("unavailable", piece="train", why=why)
            return
        else:
            install(sorted((folder / "wheels").glob("*.whl")), packages)
        names = list(RUNS)[:1] if record.dry else RUNS
        runs = {name: partial(train, record, cell, folder, packages, name) for name in names}
        record.each(runs, SECONDS)


def install(wheels: list[Path], packages: Path) -> None:
    """Unpack wheels to a folder of their own; nothing is fetched, nothing else is touched."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command += ["--no-compile", "--target", str(packages), *map(str, wheels)]
    if wheels:
        subprocess.run(command, check=True)


def train(
    record: Record, cell: demo_training.Cell, folder: Path, packages: Path, name: str
) -> None:
    """One training from the same inputs as the reference, and how far apart they end."""
    precision, stage, loss_limit, moved_limit = RUNS[name]
    held = json.loads((folder / "reference/provenance.json").read_text())
    settings, compute = held["settings"], held["compute"]
    settings["train"]["precision"] = precision
    compute["train"]["zero_stage"] = stage
    results = Path(tempfile.mkdtemp(dir=packages.parent))
    for path in cell.inputs(folder / "results"):
        place = results / path.relative_to(folder / "results")
        place.parent.mkdir()
        place.symlink_to(path)
    begin = time.time()
    demo_training.train(settings, compute, results, packages)
    seconds = time.time() - begin
    mine, reference = cell.model(results), folder / "reference"
    loss_off, moved_off = losses_off(mine, reference), moved(mine, reference)
    within = loss_off <= loss_limit and moved_off <= moved_limit
    provenance = json.loads((mine / "provenance.json").read_text())
    kernels = provenance["loss_kernels"]
    record.add(
        "training",
        run=name,
        kernels=f"{kernels['backend']}, {kernels['precision']}",
        device=harness.where()["device"],
        seconds=seconds,
        loss_off=loss_off,
        moved_off=moved_off,
        within=within,
        provenance=provenance,
    )
    if not within:
        record.fail(name, f"losses are off by {loss_off:.3g}, weights by {moved_off:.3g}")


def losses_off(mine: Path, reference: Path) -> float:
    """The largest difference between two logs' losses, over the mean loss."""
    logs = [(folder / "train_log.jsonl").read_text().splitlines() for folder in (mine, reference)]
    a, b = (torch.tensor([json.loads(line)["loss"] for line in log]) for log in logs)
    return float((a - b).abs().max() / b.mean())


def moved(mine: Path, reference: Path) -> float:
    """How far apart two trainings end, over how far the second went from where both began."""
    name = "open_clip_model.safetensors"
    got, want, before = (read_tensors(path) for path in (mine / name, reference / name, BEFORE))
    apart = sum(float((got[key] - want[key]).square().sum()) for key in want)
    went = sum(float((want[key] - before[key]).square().sum()) for key in want)
    return (apart / went) ** 0.5


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file (header's length, JSON header, bytes), in float64."""
    content = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    tensors = {}
    for name, entry in json.loads(content[8:start]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw = content[start + begin : start + end]
        tensors[name] = torch.frombuffer(raw, dtype=DTYPES[entry["dtype"]]).double()
    return tensors
