"""Which backend computes a loss changes nothing of a training beyond rounding."""

import pytest
import torch
from clipdiff_kernels.dispatch import BACKEND_VARIABLE


@pytest.mark.parametrize(
    ("kind", "backends"),
    [
        ("contrastive", ["auto", "gather"]),
        ("squared", ["auto"]),
        ("hinge", ["auto", "gather"]),
    ],
)
def test_training_is_that_with_the_reference(bench, curve, weights, monkeypatch, kind, backends):
    # Adam would turn the rounding of small gradients into steps
    settings = bench.settings({"kind": kind}, optimizer="sgd", lr=0.1)
    monkeypatch.setenv(BACKEND_VARIABLE, "reference")
    expected = bench.train(settings, f"{kind}-reference")
    before = torch.cat([each.flatten() for each in weights(bench.root / "clip").values()])
    learned = torch.cat([each.flatten() for each in weights(expected).values()]) - before
    for backend in backends:
        monkeypatch.setenv(BACKEND_VARIABLE, backend)
        output = bench.train(settings, f"{kind}-{backend}")
        assert curve(output) == pytest.approx(curve(expected), rel=1e-5)
        after = torch.cat([each.flatten() for each in weights(output).values()])
        assert (after - before - learned).norm() < 1e-4 * learned.norm()
