"""Triton kernels against the float64 references: the loss and every gradient.

Run compiled where there is a GPU, and by Triton's interpreter where TRITON_INTERPRET=1 was set
before triton's import; ``test_fused_interpreter.py`` starts such a process.
"""

import pytest
import torch
from clipdiff_kernels import contrastive_loss, squared_loss
from clipdiff_kernels.fused import gather_table, launch
from clipdiff_kernels.fused.tiles import OVERRIDES, Tile
from fused_checks import (
    BF16,
    DEVICE,
    FP16,
    FP32,
    OPS,
    check,
    group_ids,
    make_batch,
    relative,
    run,
)

if not launch.available(DEVICE):
    pytest.skip(
        "no GPU, no TRITON_INTERPRET=1 (test_fused_interpreter.py runs these tests so)",
        allow_module_level=True,
    )

pytestmark = pytest.mark.usefixtures("poison")
# (N, M, D): the smallest, odd ones, a width off every block, more pairs than a tile holds.
SHAPES = [(1, 2, 16), (2, 3, 5), (3, 4, 1), (47, 10, 24), (129, 40, 33)]
SCALES = [0.01, 1.0, 14.3, 100.0]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", SHAPES)
def test_contrastive_fp32(shape, scale):
    check("contrastive", make_batch(shape, FP32), FP32, scale=scale)


@pytest.mark.parametrize("dtype", [BF16, FP16])
@pytest.mark.parametrize("scale", SCALES)
def test_contrastive_16_bits(scale, dtype):
    check("contrastive", make_batch((47, 10, 24), dtype), dtype, scale=scale)


@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("groups", [1, 5])
def test_contrastive_group_ids(groups, scale):
    """One group only: every row and column keeps nothing but its own entry, and the loss is 0."""
    ids = group_ids(47, groups)
    check("contrastive", make_batch((47, 10, 24), FP32), FP32, scale=scale, group_ids=ids)


@pytest.mark.parametrize("dtype", [FP32, BF16])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_contrastive_gather(scale, dtype):
    batch = make_batch((129, 6, 33), dtype)
    settings = {"scale": scale, "group_ids": group_ids(129, 40), "needs": (False, True)}
    check("contrastive", batch, dtype, gather=True, **settings)


def test_contrastive_long_texts_take_the_online_maximum():
    """Logits of +-140 at scale 14: no assumption about the texts' norm."""
    images, pairs, texts = make_batch((47, 10, 24), FP32)
    check("contrastive", (images, pairs, texts * 10), FP32, scale=14.0)


def test_contrastive_float_scale():
    batch = make_batch((47, 10, 24), FP32)
    got = contrastive_loss(*batch, 14.3, backend="triton")
    wanted = contrastive_loss(*batch, 14.3, backend="reference")
    assert relative(got, wanted) < 1e-5


@pytest.mark.parametrize("op", ["contrastive", "hinge"])
def test_small_workspace(op, monkeypatch):
    """Several launches over the rows and several tiles in each: the same numbers."""
    monkeypatch.setattr(launch, "WORKSPACE_BYTES", 4 * 129 * 64)
    monkeypatch.setitem(OVERRIDES, "product32", Tile(32, 16, 16, 4, 2))
    monkeypatch.setitem(OVERRIDES, "walk", Tile(64, 16, 0, 4, 1))
    monkeypatch.setitem(OVERRIDES, "segment", Tile(16, 16, 0, 4, 1))
    extra = {"scale": 14.3} if op == "contrastive" else {"margin": 0.2}
    check(op, make_batch((129, 6, 33), FP32), FP32, **extra)
    check(op, make_batch((129, 6, 33), FP32), FP32, gather=True, needs=(False, True), **extra)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", [FP32, BF16, FP16])
@pytest.mark.parametrize("shape", [(1, 2, 16), (3, 4, 1), (129, 40, 33)])
def test_squared(shape, dtype, normalize):
    check("squared", make_batch(shape, dtype), dtype, normalize=normalize)


@pytest.mark.parametrize("negatives", ["all", "hardest", "reversed"])
@pytest.mark.parametrize("shape", SHAPES)
def test_hinge_fp32(shape, negatives):
    check("hinge", make_batch(shape, FP32), FP32, negatives=negatives, margin=0.3)


@pytest.mark.parametrize("dtype", [BF16, FP16])
@pytest.mark.parametrize("negatives", ["all", "reversed"])
def test_hinge_16_bits(negatives, dtype):
    check("hinge", make_batch((47, 10, 24), dtype), dtype, negatives=negatives)


@pytest.mark.parametrize("negatives", ["all", "hardest"])
@pytest.mark.parametrize("groups", [1, 5])
def test_hinge_group_ids(groups, negatives):
    """One group only: no negatives are left, and loss and gradients are 0."""
    settings = {"negatives": negatives, "group_ids": group_ids(47, groups)}
    check("hinge", make_batch((47, 10, 24), FP32), FP32, **settings)


@pytest.mark.parametrize("dtype", [FP32, BF16])
@pytest.mark.parametrize("negatives", ["all", "hardest"])
def test_hinge_gather(negatives, dtype):
    batch = make_batch((129, 6, 33), dtype)
    settings = {"negatives": negatives, "group_ids": group_ids(129, 40), "needs": (False, True)}
    check("hinge", batch, dtype, gather=True, **settings)


@pytest.mark.parametrize("op", list(OPS))
def test_near_images(op):
    """n_k of about 0.01: the difference keeps its digits because it is made before any rounding."""
    extra = {"scale": 14.3} if op == "contrastive" else {}
    check(op, make_batch((47, 10, 24), FP32, near=0.005), FP32, slack=3, **extra)


@pytest.mark.parametrize("distance", [0.05, 1e-3])
@pytest.mark.parametrize("dtype", [FP32, BF16, FP16])
@pytest.mark.parametrize("op", ["contrastive", "hinge"])
def test_couples_of_images_gather(op, dtype, distance):
    """Far from the mean, near each other: an error of G comes out 1 / distance times as large."""
    images, pairs, texts = make_batch((47, 10, 24), FP32)
    step = torch.nn.functional.normalize(images[1::2] - images[::2], dim=1)
    images[1::2] = torch.nn.functional.normalize(images[::2] + distance * step, dim=1)
    pairs = pairs[:, :1] // 2 * 2 + torch.tensor([0, 1], device=DEVICE)
    batch = images.to(dtype), pairs, texts.to(dtype)
    # a margin that no score comes near: equal pairs would cross it together
    extra = {"scale": 14.3} if op == "contrastive" else {"margin": 0.3}
    check(op, batch, dtype, gather=True, needs=(False, True), slack=2, **extra)


def test_only_the_shortest_are_direct(monkeypatch):
    """Where short pairs outnumber their rows, those left keep an error of about 2.5e-7 / n_k."""
    monkeypatch.setattr(gather_table, "DIRECT_PAIRS", 5)
    images, pairs, texts = make_batch((47, 10, 24), FP32, near=0.005)
    inverse = 1 / (images[pairs[:, 0]] - images[pairs[:, 1]]).norm(dim=1)
    table = gather_table.gather_table(images, pairs, inverse, 1e-6)
    direct = (table.pair_index != pairs).any(1)
    assert direct.sum() == 5
    assert inverse[direct].min() >= inverse[~direct].max()
    batch = images, pairs, texts
    check("contrastive", batch, FP32, gather=True, scale=14.3, needs=(False, True), slack=10)


@pytest.mark.parametrize("gather", [False, True])
@pytest.mark.parametrize("op", ["contrastive", "hinge"])
def test_equal_images_have_no_direction(op, gather):
    images, pairs, texts = make_batch((47, 10, 24), FP32)
    images[pairs[5, 0]] = images[pairs[5, 1]]
    extra = {"scale": 14.3} if op == "contrastive" else {}
    check(op, (images, pairs, texts), FP32, gather=gather, needs=(not gather, True), **extra)


@pytest.mark.parametrize("op", list(OPS))
def test_strided_and_int32_inputs(op):
    images, pairs, texts = make_batch((47, 10, 24), FP32)
    strided = images.T.contiguous().T, pairs.int(), texts.T.contiguous().T
    assert not strided[0].is_contiguous()
    extra = (14.3,) if op == "contrastive" else ()
    loss = OPS[op]
    losses = [loss(*x, *extra, backend="triton") for x in (strided, (images, pairs, texts))]
    assert torch.equal(*losses)


def test_same_bits_twice():
    """Single writers and fixed orders: the loss and its gradients repeat to the bit."""
    batch = make_batch((70, 40, 33), FP32)
    first, again = (
        run(contrastive_loss, batch, FP32, scale=14.3, backend="triton") for _ in range(2)
    )
    assert torch.equal(first[0], again[0])
    assert all(map(torch.equal, first[1:], again[1:]))


def test_float64_is_refused():
    batch = make_batch((3, 4, 8), torch.float64)
    with pytest.raises(ValueError, match="float64"):
        squared_loss(*batch, backend="triton")


@pytest.mark.slow
def test_thousand_pairs():
    check("contrastive", make_batch((1000, 60, 48), FP32), FP32, scale=14.3)
    check("hinge", make_batch((1000, 60, 48), FP32), FP32)
