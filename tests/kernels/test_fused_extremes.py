"""Triton kernels where exponents, float16 or a direction end: numbers stay those of the reference.

Compiled where there is a GPU, else by Triton's interpreter, as ``test_fused.py``.
"""

import weakref

import pytest
import torch
from clipdiff_kernels import contrastive_loss, hinge_loss
from clipdiff_kernels.contrastive.loss import contrastive_backward
from clipdiff_kernels.fused import gather_table, launch
from clipdiff_kernels.fused.product_scores import ProductScores
from clipdiff_kernels.fused.tiles import OVERRIDES, Tile

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if not launch.available(DEVICE):
    pytest.skip(
        "no GPU, no TRITON_INTERPRET=1 (test_fused_interpreter.py runs these tests so)",
        allow_module_level=True,
    )

BACKENDS = ["triton", "triton-gather"]


def unit(num_rows, seed, width=16):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(num_rows, width, generator=generator)
    return torch.nn.functional.normalize(rows, dim=1).to(DEVICE)


def check(images, pairs, texts, scale, backend, *, precision="fp32", limit=1e-5, **settings):
    mine = texts.clone().requires_grad_()
    wide = texts.double().requires_grad_()
    settings |= {"logit_scale": scale}
    got = contrastive_loss(images, pairs, mine, backend=backend, precision=precision, **settings)
    want = contrastive_loss(images.double(), pairs, wide, backend="reference", **settings)
    got.backward()
    want.backward()
    torch.testing.assert_close(got.double(), want, rtol=10 * limit, atol=10 * limit)
    error = torch.linalg.vector_norm(mine.grad - wide.grad)
    assert error <= limit * torch.linalg.vector_norm(wide.grad)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_one_image_in_every_pair_and_texts_against_it(backend, precision):
    """Logits below -83 in whole rows, and one text that all columns take: its sums pass 65504."""
    images, others = unit(20, 0), unit(299, 1)
    images[0] *= 3
    places = torch.arange(300, device=DEVICE)
    pairs = torch.stack([torch.zeros_like(places), 1 + places % 19], 1)
    hub = images[:1] / 3
    texts = torch.cat([hub, torch.nn.functional.normalize(others / 2 - 3 * hub, dim=1)])
    if precision != "fp32":
        texts = texts.to({"bf16": torch.bfloat16, "fp16": torch.float16}[precision]).float()
    limit = {"fp32": 2e-5, "bf16": 1e-2, "fp16": 1e-3}[precision]
    check(images, pairs, texts, 100.0, backend, precision=precision, limit=limit)


@pytest.mark.parametrize("direct", [256, 3])
@pytest.mark.parametrize("eps", [0.1, 1e-3])
@pytest.mark.parametrize("backend", BACKENDS)
def test_pairs_shorter_than_eps_keep_their_part(backend, eps, direct, monkeypatch):
    """d / eps stands in for the direction, also in the cosine of a text with its own pair."""
    monkeypatch.setattr(gather_table, "DIRECT_PAIRS", direct)
    images = unit(8, 2)
    images = torch.cat([images, images + 0.5 * eps * unit(8, 3)])
    places = torch.arange(16, device=DEVICE)
    pairs = torch.stack([places, (places + 8) % 16], 1)
    pairs[::4, 1] = (places[::4] + 3) % 16
    check(images, pairs, unit(16, 4), 14.3, backend, eps=eps, limit=2e-4)


def test_a_single_row_of_any_stride():
    """Torch calls one row contiguous whatever its stride; descriptors look at the stride."""
    texts = torch.zeros(1, 17, device=DEVICE)[:, :16]
    texts.copy_(unit(1, 5))
    assert texts.stride(0) == 17
    pairs = torch.tensor([[0, 1]], device=DEVICE)
    loss = contrastive_loss(unit(2, 6), pairs, texts, 14.3, backend="triton")
    assert loss.abs() < 1e-5


@pytest.mark.parametrize("backend", BACKENDS)
def test_columns_without_negatives_in_this_block(backend):
    """Where only other blocks know a column, from a long text of theirs, exp must not overflow."""
    pairs = torch.tensor([[0, 1], [2, 3], [4, 5]], device=DEVICE)
    images, texts = unit(6, 7), unit(1, 8)
    direction = torch.nn.functional.normalize(images[0] - images[1], dim=0)
    own = 14.3 * (texts[0] @ direction)
    columns = torch.stack([own, own.new_tensor(-400.0), own.new_tensor(-500.0)])
    one = torch.ones((), device=DEVICE)
    _, grad, grad_scale = contrastive_backward(
        one, images, texts, 14.3 * one, pairs, torch.zeros_like(pairs[:, 0]), own.reshape(1),
        columns, images.new_empty(0, 0), 1e-6, backend, "fp32", 0, False,
    )  # fmt: skip
    assert grad.abs().max() < 1e-4
    assert grad_scale.abs() < 1e-4


@pytest.mark.parametrize("backend", BACKENDS)
def test_nan_stays_a_number_problem(backend):
    """A text of NaN makes the loss NaN; no maximum is looked up outside of the batch."""
    texts = unit(5, 9)
    texts[2] = torch.nan
    places = torch.arange(5, device=DEVICE)
    pairs = torch.stack([places, places + 1], 1)
    texts.requires_grad_()
    loss = hinge_loss(unit(6, 10), pairs, texts, negatives="hardest", backend=backend)
    loss.backward()
    assert loss.isnan()
    assert len(texts.grad) == 5


def test_one_workspace_at_a_time(monkeypatch):
    """Weights of a chunk are gone before those of the next are made."""
    make, made = ProductScores._weights, []

    def watched(scores, num_rows):
        assert all(old() is None for old in made)
        weights = make(scores, num_rows)
        made.append(weakref.ref(weights))
        return weights

    monkeypatch.setattr(ProductScores, "_weights", watched)
    monkeypatch.setattr(launch, "WORKSPACE_BYTES", 1)
    monkeypatch.setitem(OVERRIDES, "product32", Tile(16, 16, 16, 4, 1))
    places = torch.arange(40, device=DEVICE)
    pairs = torch.stack([places % 10, (places + 3) % 10], 1)
    check(unit(10, 11), pairs, unit(40, 12), 14.3, "triton", limit=5e-5)
    assert len(made) == 3


@pytest.mark.parametrize("whole", [True, False])
def test_both_passes_round_alike_where_images_learn(whole):
    """In bf16 at scale 75 a logit is off by 0.1: no matter if weights and their sum share that."""
    images, texts = unit(20, 13), unit(60, 14).bfloat16().float()
    places = torch.arange(60, device=DEVICE)
    pairs = torch.stack([places % 20, (places * 7 + 3) % 20], 1)
    found = []
    for dtype, backend in ((torch.float32, "triton-gather"), (torch.float64, "reference")):
        leaves = [each.to(dtype).requires_grad_() for each in (images, texts)]
        loss = contrastive_loss(
            leaves[0], pairs, leaves[1], 75.0, backend=backend, precision="bf16"
        )
        found.append(torch.autograd.grad(loss, leaves if whole else leaves[1:]))
    for got, want in zip(*found, strict=True):
        error = torch.linalg.vector_norm(got - want)
        assert error <= 2e-2 * torch.linalg.vector_norm(want)
