"""A batch that lies over gloo ranks gives the loss and the gradients of one process."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from clipdiff_kernels import contrastive_loss, hinge_loss, squared_loss
from gloo_rank import results
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

from clipdiff.train.ranks import Ranks, share_sizes

IMAGES, PAIRS, WIDTH = 9, 13, 6
SCRIPT = Path(__file__).with_name("gloo_rank.py")
KERNELS = {"triton": {"product_kernel"}, "triton-gather": {"walk_kernel", "segment_kernel"}}
TIGHT = {"atol": 1e-6, "rtol": 1e-5}
sizes = pytest.mark.parametrize("size", [1, 2, pytest.param(3, marks=pytest.mark.slow)])


@pytest.fixture(scope="module")
def inputs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    order = torch.rand(PAIRS, IMAGES, generator=generator).argsort(1)
    return {
        "image_embeds": normalize(torch.randn(IMAGES, WIDTH, generator=generator), dim=1),
        "text_embeds": normalize(torch.randn(PAIRS, WIDTH, generator=generator), dim=1),
        "pair_index": order[:, :2].contiguous(),
        "group_ids": torch.arange(PAIRS) % (PAIRS - 2),
    }


@pytest.fixture(scope="module")
def single(inputs) -> dict[str, torch.Tensor]:
    return results(Ranks(), inputs)


@pytest.fixture(scope="module")
def ranks_of(inputs, tmp_path_factory) -> Callable[[int], Path]:
    """Run as many processes; return the folder of what they find."""

    @functools.cache
    def run(size: int) -> Path:
        folder = tmp_path_factory.mktemp(f"ranks{size}")
        save_file(inputs, folder / "inputs.safetensors")
        processes = [
            subprocess.Popen(
                [sys.executable, str(SCRIPT), str(rank), str(size), str(folder)],
                env=os.environ | {"TRITON_INTERPRET": "1"},
            )
            for rank in range(size)
        ]
        assert [process.wait(timeout=400) for process in processes] == [0] * size
        return folder

    return run


def parts(folder: Path, size: int, backend: str, precision: str) -> list[dict[str, torch.Tensor]]:
    """Return what each rank found."""
    stem = f"{backend}-{precision}-rank"
    return [load_file(folder / f"{stem}{rank}of{size}.safetensors") for rank in range(size)]


def joined(found: list[dict[str, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield what the ranks found: their texts in a row, all else of each of them."""
    for name in found[0]:
        values = [part[name] for part in found]
        if name.endswith("-text"):
            assert [len(each) for each in values] == share_sizes(PAIRS, len(found))
            values = [torch.cat(values)]
        for value in values:
            yield name, value


@sizes
@pytest.mark.parametrize("backend", ["auto", *KERNELS])
def test_ranks_give_the_single_process_gradients(size, backend, single, ranks_of):
    found = parts(ranks_of(size), size, backend, "fp32")
    lacking = {name.split("-")[0] for name in set(single) - set(found[0])}
    assert lacking == ({"squared"} if backend == "triton-gather" else set())
    for name, value in joined(found):
        torch.testing.assert_close(value, single[name], **TIGHT, msg=name)


@sizes
@pytest.mark.parametrize("backend", KERNELS)
def test_16_bits_round_the_same_on_all_ranks(size, backend, single, ranks_of):
    found = parts(ranks_of(size), size, backend, "bf16")
    (alone,) = parts(ranks_of(1), 1, backend, "bf16")
    for name, value in joined(found):
        torch.testing.assert_close(value, alone[name], **TIGHT, msg=name)
        expected, apart = single[name], (value - single[name]).norm()
        assert apart <= 0.02 * expected.norm(), name
        if name.startswith("contrastive"):
            assert apart > 1e-5 * expected.norm(), f"{name} was not rounded"


@sizes
@pytest.mark.parametrize("backend", KERNELS)
def test_ranks_launch_the_fused_kernels(size, backend, ranks_of):
    for rank in range(size):
        for precision in ("fp32", "bf16"):
            path = ranks_of(size) / f"{backend}-{precision}-rank{rank}of{size}.json"
            assert set(json.loads(path.read_text())) >= {"pair_facts_kernel", *KERNELS[backend]}
        torch_only = ranks_of(size) / f"auto-fp32-rank{rank}of{size}.json"
        assert json.loads(torch_only.read_text()) == {}


def test_a_single_process_agrees_with_the_reference(inputs, single):
    doubles = {name: value.double() for name, value in inputs.items() if "embeds" in name}
    texts = doubles["text_embeds"].requires_grad_()
    images = doubles["image_embeds"].requires_grad_()
    pairs, groups = inputs["pair_index"], inputs["group_ids"]
    scale = torch.tensor([7.0], dtype=torch.float64, requires_grad=True)
    expected = {
        "contrastive": contrastive_loss(
            images, pairs, texts, scale, group_ids=groups, backend="reference"
        ),
        "squared": squared_loss(images, pairs, texts, backend="reference"),
        "hinge": hinge_loss(images, pairs, texts, group_ids=groups, backend="reference"),
    }
    for name, loss in expected.items():
        text_grad, image_grad = torch.autograd.grad(loss, [texts, images], retain_graph=True)
        value = single[f"{name}-True-loss"][0].item()
        assert value == pytest.approx(loss.item(), abs=1e-6)
        for side, right in (("text", text_grad), ("images", image_grad)):
            got = single[f"{name}-True-{side}"].double()
            torch.testing.assert_close(got, right, atol=1e-6, rtol=1e-5)
    (scale_grad,) = torch.autograd.grad(expected["contrastive"], scale)
    assert float(single["contrastive-True-scale"]) == pytest.approx(float(scale_grad), abs=1e-6)


@pytest.mark.parametrize(("count", "size"), [(12, 5), (3, 4), (0, 2), (7, 1)])
def test_shares_cover_all_rows_in_order(count, size):
    shares = [Ranks(rank, size).share(count) for rank in range(size)]
    assert [row for share in shares for row in range(count)[share]] == list(range(count))
    lengths = [share.stop - share.start for share in shares]
    assert lengths == share_sizes(count, size)
    assert max(lengths) - min(lengths) <= 1
