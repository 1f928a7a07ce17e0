"""Which backend computes a loss changes nothing of a training beyond rounding."""

import json
from pathlib import Path

import pytest
import torch
from clipdiff_kernels.dispatch import BACKEND_VARIABLE

from clipdiff.files import read_json

# Adam would turn the rounding of small gradients into steps
SGD = {"optimizer": "sgd", "lr": 0.1}
LAUNCHED = {"triton": {"product_kernel"}, "triton-gather": {"walk_kernel", "segment_kernel"}}
FUSED = {
    f"{kind} {backend} {precision}": {
        "loss": {"kind": kind}, "kernels": backend, "precision": precision,
    }
    for kind in ("contrastive", "hinge")
    for backend in LAUNCHED
    for precision in ("fp32", "bf16")
} | {
    "squared": {"loss": {"kind": "squared"}, "kernels": "triton"},
    "images": {"trainable": "both", "kernels": "triton-gather"},
}  # fmt: skip
OTHER_LAUNCHES = {"squared": {"squared_kernel"}, "images": LAUNCHED["triton"]}


@pytest.fixture
def learned(bench, weights):
    """The function that reads what a training added to the weights."""

    def read(folder: Path) -> torch.Tensor:
        before, after = weights(bench.root / "clip"), weights(folder)
        return torch.cat([(after[name] - before[name]).flatten() for name in before])

    return read


@pytest.mark.parametrize(
    ("kind", "backends"),
    [
        ("contrastive", ["auto", "gather"]),
        ("squared", ["auto"]),
        ("hinge", ["auto", "gather"]),
    ],
)
def test_training_is_that_with_the_reference(bench, curve, learned, monkeypatch, kind, backends):
    settings = bench.settings({"kind": kind}, **SGD)
    monkeypatch.setenv(BACKEND_VARIABLE, "reference")
    expected = bench.train(settings, f"{kind}-reference")
    for backend in backends:
        monkeypatch.setenv(BACKEND_VARIABLE, backend)
        output = bench.train(settings, f"{kind}-{backend}")
        assert curve(output) == pytest.approx(curve(expected), rel=1e-5)
        apart = learned(output) - learned(expected)
        assert apart.norm() < 1e-4 * learned(expected).norm()


@pytest.fixture(scope="module")
def on_torch(bench, tmp_path_factory) -> Path:
    """Folders of the trainings of ``FUSED`` in a single process, without Triton."""
    folder = tmp_path_factory.mktemp("torch")
    plain = {name: changes | {"kernels": "chunked"} | SGD for name, changes in FUSED.items()}
    bench.run_together(plain, 1, folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_fused_kernels_train_on_any_number_of_ranks(
    bench, curve, learned, tmp_path, on_torch, ranks
):
    cases = {name: changes | SGD for name, changes in FUSED.items()}
    log = bench.run_together(cases, ranks, tmp_path)
    for name, changes in FUSED.items():
        backend, precision = changes["kernels"], changes.get("precision", "fp32")
        for rank in range(ranks):
            noted = (tmp_path / name / f"checkpoints/launches{rank}.json").read_text()
            assert set(json.loads(noted)) >= OTHER_LAUNCHES.get(name, LAUNCHED[backend])
        output, expected = (folder / name / "model" for folder in (tmp_path, on_torch))
        reason = f"{BACKEND_VARIABLE} asks for it"
        if name == "images":  # gathers have no gradient to them
            backend, reason = "triton", "backend asks for it"
        told = {"backend": backend, "precision": precision, "reason": reason}
        assert read_json(output / "provenance.json")["loss_kernels"] == told
        assert f"loss kernels: {backend}, products in {precision} ({reason})" in log
        loss, weights = (1e-5, 1e-4) if precision == "fp32" else (1e-2, 0.03)
        assert curve(output) == pytest.approx(curve(expected), rel=loss)
        apart = learned(output) - learned(expected)
        assert apart.norm() < weights * learned(expected).norm(), name
