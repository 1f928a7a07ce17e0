"""Trainings as processes of their own: ranks, ZeRO stages, and a kill."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow

SGD = {"optimizer": "sgd", "lr": 0.1}  # Adam turns rounding of small gradients into steps
CONTRASTIVE = {"kind": "contrastive", "logit_scale": 10.0}
TWO_RANKS = {
    "stage 0": {},
    "stage 1": {"zero_stage": 1},
    "stage 2": {"zero_stage": 2},
    "stage 3": {"zero_stage": 3},
    "offload": {"zero_stage": 2, "offload": True},
    "stage 0, micro batches": {"micro_batch": 2} | SGD,
    "stage 2, micro batches": {"zero_stage": 2, "micro_batch": 2} | SGD,
    "stage 3, micro batches": {"zero_stage": 3, "micro_batch": 2} | SGD,
    "uneven shares": {"batch": 13, "micro_batch": 3} | SGD,
    "images": {"trainable": "both"} | SGD,
    "images only": {"trainable": "image"} | SGD,
    "hinge": {"loss": {"kind": "hinge"}},
    "squared": {"loss": {"kind": "squared"}},
    "a part": {"images": 10, "pairs": 20},
    "temperature": {"loss": CONTRASTIVE | {"learn_logit_scale": True}},
}


@pytest.fixture(scope="module")
def two_ranks(bench, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two_ranks")
    bench.run_together(TWO_RANKS, 2, folder)
    return folder


@pytest.mark.parametrize("case", TWO_RANKS)
def test_two_ranks_give_the_losses_of_one(bench, case, two_ranks, curve):
    whole = {
        name: value
        for name, value in TWO_RANKS[case].items()
        if name not in ("zero_stage", "offload", "micro_batch")
    }
    expected = curve(bench.train(bench.settings(**whole), f"{case} whole"))
    single = curve(bench.train(bench.settings(**TWO_RANKS[case]), f"{case} single"))
    assert single == pytest.approx(expected, abs=2e-5)
    assert curve(two_ranks / case / "model") == pytest.approx(expected, abs=2e-5)


def test_three_ranks_and_a_share_of_each_size(bench, curve, tmp_path):
    changes = {"batch": 13, "micro_batch": 2, "zero_stage": 1} | SGD
    bench.run_together({"three": changes}, 3, tmp_path)
    expected = curve(bench.train(bench.settings(batch=13, **SGD), "three whole"))
    assert curve(tmp_path / "three/model") == pytest.approx(expected, abs=2e-5)


def test_another_number_of_ranks_goes_on_or_starts_anew(bench, curve, tmp_path):
    expected = curve(bench.train(bench.settings(), "ranks of one"))
    bench.train(bench.settings(zero_stage=1), "shards of one")
    for name in ("ranks of one", "shards of one"):
        (tmp_path / name).mkdir()
        shutil.copytree(bench.root / name / "checkpoints", tmp_path / name / "checkpoints")
    cases = {"ranks of one": {"checkpoint_every": 7}, "shards of one": {"zero_stage": 1}}
    log = bench.run_together(cases, 2, tmp_path)
    assert f"going on from {tmp_path / 'ranks of one/checkpoints/step00000006'}" in log
    assert "shards of one/checkpoints/step00000006: stays there, but is not gone on from" in log
    for name in cases:
        assert curve(tmp_path / name / "model") == pytest.approx(expected, abs=2e-5)
    settings = bench.settings(zero_stage=1, offload=True, checkpoint_every=7)
    assert curve(bench.train(settings, "shards of one")) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("ranks", [1, 2])
def test_kill_9_then_the_same_weights_as_uninterrupted(bench, ranks, weights, curve, tmp_path):
    roots = [tmp_path / "whole", tmp_path / "killed"]
    for root in roots:
        root.mkdir()
    settings = bench.settings(epochs=60, checkpoint_every=5, ranks=ranks, zero_stage=ranks - 1)
    whole = bench.finished(bench.start(settings, roots[0]), roots[0])
    process = bench.start(settings, roots[1])
    until = time.monotonic() + 300
    while not list(roots[1].glob("models/.checkpoints/**/step*")):
        assert process.poll() is None, (roots[1] / "log").read_text()[-3000:]
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    killed = bench.finished(bench.resume(settings, roots[1]), roots[1])
    assert "going on from" in (roots[1] / "log").read_text()
    assert curve(killed) == curve(whole)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(killed)[name]), name


def test_a_warning_signal_lets_two_ranks_save_and_leave(bench, curve, tmp_path):
    settings = bench.settings(epochs=60, checkpoint_every=1000, ranks=2)
    process = bench.start(settings, tmp_path)
    log, until = tmp_path / "log", time.monotonic() + 300
    events = tmp_path / "models/.checkpoints/bert/loss/seed0/tensorboard"
    while not list(events.glob("*")):  # the first rank's, written as the loop begins
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=200) != 0
    assert "SIGUSR1: saved after step" in log.read_text()
    resumed = bench.finished(bench.resume(settings, tmp_path), tmp_path)
    assert "going on from" in log.read_text()
    assert len(curve(resumed)) == 60 * 4
