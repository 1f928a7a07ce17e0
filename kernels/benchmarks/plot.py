"""Time and memory against N, with the floor of dense products, from results.csv.

``python kernels/benchmarks/plot.py [--op contrastive] [--device H100]`` writes an image for each
device beside results.csv. The floor is the products that no dense path can do without at the rate
that this device's own matrix product reached in the same run.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

HERE = Path(__file__).parent


def read(op: str, device: str) -> dict[str, list[dict[str, str]]]:
    """Rows of ``op`` by device; the newest of each provider and N."""
    newest: dict[tuple[str, str, int], dict[str, str]] = {}
    with (HERE / "results.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["op"] == op and device in row["device"]:
                newest[row["device"], row["provider"], int(row["N"])] = row
    by_device = defaultdict(list)
    for key in sorted(newest):
        by_device[key[0]].append(newest[key])
    return by_device


def draw(op: str, device: str, rows: list[dict[str, str]]) -> Path:
    figure, (time_axis, memory_axis) = pyplot.subplots(1, 2, figsize=(11, 4.5))
    by_provider = defaultdict(list)
    for row in rows:
        by_provider[row["provider"]].append(row)
    for provider, points in by_provider.items():
        pairs = [int(p["N"]) for p in points]
        time_axis.plot(pairs, [float(p["median_ms"]) for p in points], "o-", label=provider)
        memory_axis.plot(pairs, [float(p["peak_mb"]) for p in points], "o-", label=provider)
    floor = sorted({(int(r["N"]), float(r["floor_ms"])) for r in rows})
    time_axis.plot(*zip(*floor, strict=True), "k--", label="floor of dense products")
    time_axis.set(title="loss and text gradient", xlabel="pairs N", ylabel="ms")
    memory_axis.set(title="peak above inputs", xlabel="pairs N", ylabel="MB")
    for axis in (time_axis, memory_axis):
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.grid(alpha=0.3)
    time_axis.legend(fontsize=8)
    figure.suptitle(f"{op}, {device}, {rows[0]['dtype']}, M = {rows[0]['M']}, D = {rows[0]['D']}")
    figure.tight_layout()
    path = HERE / f"{op}_{'_'.join(device.lower().split())}.png"
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--op", default="contrastive")
    parser.add_argument("--device", default="", help="part of the device's name")
    chosen = parser.parse_args()
    for device, rows in read(chosen.op, chosen.device).items():
        draw(chosen.op, device, rows)


if __name__ == "__main__":
    main()
