"""A batch that lies over gloo ranks gives the loss and the gradients of one process."""

import subprocess
import sys
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
def folder(inputs, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    save_file(inputs, folder / "inputs.safetensors")
    return folder


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_ranks_give_the_single_process_gradients(size, inputs, single, folder):
    command = [sys.executable, str(SCRIPT)]
    processes = [
        subprocess.Popen([*command, str(rank), str(size), str(folder)]) for rank in range(size)
    ]
    assert [process.wait(timeout=200) for process in processes] == [0] * size
    parts = [load_file(folder / f"rank{rank}of{size}.safetensors") for rank in range(size)]
    assert [len(part["hinge-False-text"]) for part in parts] == share_sizes(PAIRS, size)
    for name, expected in single.items():
        if name.endswith("-text"):
            whole = torch.cat([part[name] for part in parts])
            torch.testing.assert_close(whole, expected, atol=1e-6, rtol=1e-5, msg=name)
            continue
        for part in parts:
            torch.testing.assert_close(part[name], expected, atol=1e-6, rtol=1e-5, msg=name)


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
