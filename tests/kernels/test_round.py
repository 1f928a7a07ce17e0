"""The GPU round without a GPU: its dry mode passes, and no kill loses a figure."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "kernels/benchmarks"
PARTS = {"ops", "times", "tests", "compile_tiles", "tiles", "step", "train", "predicted"}
CASES = 50  # of the part ops, by two processes


def command(out, *arguments):
    return [sys.executable, str(BENCHMARKS / "gpu.py"), "--dry", "--out", str(out), *arguments]


def rows(out):
    """Every line is a whole row."""
    path = out / "round.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    assert all(line.endswith("}\n") for line in lines)
    return [json.loads(line) for line in lines]


def of(figure, out):
    return [row for row in rows(out) if row["figure"] == figure]


def processes(out):
    return {row["pid"] for row in of("begin", out)}


def wait_for_figures(out, runner):
    """Until two processes are at work and have something to lose."""
    until = time.monotonic() + 120
    while not (of("agreement", out) and len(processes(out)) == 2):
        assert runner.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.slow
def test_a_dry_round_passes(tmp_path):
    pytest.importorskip("deepspeed")
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False)
    failures = tmp_path / "failures.md"
    assert not failures.exists(), failures.read_text()
    assert done.returncode == 0, done.stderr
    held = rows(tmp_path)
    assert {row["part"] for row in held if row["figure"] == "part"} == PARTS
    cases = [row["within"] for row in held if row["figure"] == "agreement"]
    assert len(cases) == CASES
    assert all(cases)
    figures = {row["figure"] for row in held}
    assert {"machine", "rates", "times", "kernels", "tests", "tile", "step", "training"} <= figures
    assert "failed" not in figures
    assert all(row["passed"] > 5 for row in held if row["figure"] == "tests")
    summary = (tmp_path / "round.md").read_text()
    assert "| contrastive | 17 | triton-gather |" in summary
    assert "not measured" not in summary


def test_a_killed_part_loses_nothing_and_goes_on(tmp_path):
    runner = subprocess.Popen(command(tmp_path, "--parts", "ops"), stdout=subprocess.DEVNULL)
    wait_for_figures(tmp_path, runner)
    os.kill(min(processes(tmp_path)), signal.SIGKILL)
    assert runner.wait(timeout=200) == 1
    begun = [row["piece"] for row in of("begin", tmp_path)]
    assert len(begun) == len(set(begun)) == CASES
    assert len(processes(tmp_path)) == 3
    assert len(of("agreement", tmp_path)) >= CASES - 1  # what ran when the kill came may be lost
    assert "ended with -9, while at" in (tmp_path / "failures.md").read_text()


def test_a_killed_round_leaves_its_figures_and_the_next_appends(tmp_path):
    runner = subprocess.Popen(command(tmp_path, "--parts", "ops"), stdout=subprocess.DEVNULL)
    wait_for_figures(tmp_path, runner)
    runner.kill()
    runner.wait()
    until = time.monotonic() + 20
    while any(Path(f"/proc/{each}").exists() for each in processes(tmp_path)):  # they go with it
        assert time.monotonic() < until
        time.sleep(0.01)
    before = (tmp_path / "round.jsonl").read_bytes()
    subprocess.run(command(tmp_path, "--parts", "ops"), stdout=subprocess.DEVNULL, check=True)
    assert (tmp_path / "round.jsonl").read_bytes().startswith(before)
    assert len({row["round"] for row in of("agreement", tmp_path)}) == 2


@pytest.fixture
def benchmarks(monkeypatch):
    """A function that imports a module of the benchmarks."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_half_a_line_is_closed_and_passed_over(benchmarks, tmp_path):
    lines = benchmarks("lines")
    path = tmp_path / "rows"
    lines.append_row(path, {"a": 1 / 3})
    with path.open("a") as file:
        file.write('{"a": 0.')
    lines.append_row(path, {"a": [2.0]})
    assert lines.read_rows(path) == [{"a": 0.33333}, {"a": [2.0]}]


def test_a_piece_that_raises_or_hangs_stops_no_other(benchmarks, tmp_path):
    """Three pieces; the second hangs, and a second process takes up after it."""
    script = f"""
import sys, time
sys.path.insert(0, {str(BENCHMARKS)!r})
from pathlib import Path
from round.record import Record
record = Record(Path({str(tmp_path)!r}), "r", "p", (0, 1), True, Path("none"))
def wrong():
    raise ValueError("no such tile")
pieces = {{
    "wrong": wrong, "hangs": lambda: time.sleep(60), "right": lambda: record.add("x", value=1)
}}
record.each(pieces, 0.5)
"""
    first, second = (subprocess.run([sys.executable, "-c", script], check=False) for _ in range(2))
    assert (first.returncode, second.returncode) == (-signal.SIGALRM, 0)
    told = [(row["figure"], row.get("piece")) for row in rows(tmp_path)]
    begun = [piece for figure, piece in told if figure == "begin"]
    assert begun == ["wrong", "hangs", "right"]
    assert ("failed", "wrong") in told
    assert ("x", None) in told
    assert "no such tile" in (tmp_path / "failures.md").read_text()


def test_the_summary_refuses_a_ratio_where_the_gate_is_red(benchmarks, tmp_path):
    lines, summary = benchmarks("lines"), benchmarks("summary")
    common = {"round": "r", "part": "times", "figure": "times", "op": "hinge", "N": 8}
    for provider, ms, within in (
        ("eager", 4.0, True),
        ("triton", 2.0, True),
        ("triton-gather", 1.0, False),
    ):
        row = {"provider": provider, "piece": provider, "step_ms": ms, "floor_ms": 1.0}
        lines.append_row(tmp_path / "round.jsonl", common | row | {"within": within})
    lines.append_row(
        tmp_path / "round.jsonl",
        {"round": "r", "part": "times", "figure": "planned", "pieces": ["eager", "late"]},
    )
    summary.write_summary(tmp_path)
    text = (tmp_path / "round.md").read_text()
    shown = {line.split(" | ")[2]: line for line in text.splitlines() if line.startswith("| hinge")}
    assert "| 2.00 |" in shown["triton"]
    assert "refused" in shown["triton-gather"]
    assert "refused" not in shown["triton"]
    assert "| times | late |" in text
