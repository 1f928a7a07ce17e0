"""Triton kernels against the float64 references: the loss and every gradient.

Run compiled where there is a GPU, and by Triton's interpreter where TRITON_INTERPRET=1 was set
before triton's import; ``test_fused_interpreter.py`` starts such a process.
"""

import pytest
import torch
from clipdiff_kernels import contrastive_loss, hinge_loss, scores, squared_loss
from clipdiff_kernels.blocks import Block
from clipdiff_kernels.fused import gather_table, launch, product_scores
from clipdiff_kernels.fused.tiles import OVERRIDES, Tile

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if not launch.available(DEVICE):
    pytest.skip(
        "no GPU, no TRITON_INTERPRET=1 (test_fused_interpreter.py runs these tests so)",
        allow_module_level=True,
    )

OPS = {"contrastive": contrastive_loss, "squared": squared_loss, "hinge": hinge_loss}
FP32, BF16, FP16 = torch.float32, torch.bfloat16, torch.float16
# (N, M, D): the smallest, odd ones, a width off every block, more pairs than a tile holds.
SHAPES = [(1, 2, 16), (2, 3, 5), (3, 4, 1), (47, 10, 24), (129, 40, 33)]
SCALES = [0.01, 1.0, 14.3, 100.0]


@pytest.fixture(autouse=True)
def _poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh memory is NaN: a kernel that leaves a hole in its output shows it."""

    def poisoned(make):
        def made(*args, **kwargs):
            out = make(*args, **kwargs)
            return out.fill_(torch.nan) if out.is_floating_point() else out.fill_(1 << 30)

        return made

    monkeypatch.setattr(torch.Tensor, "new_empty", poisoned(torch.Tensor.new_empty))
    monkeypatch.setattr(torch, "empty_like", poisoned(torch.empty_like))


def make_batch(shape, dtype, *, seed=0, near=None):
    """Normalised embeddings in ``dtype``; ``near``: images about that far from each other."""
    num_pairs, num_images, width = shape
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(num_images, width, generator=generator)
    if near is not None:
        images = torch.randn(1, width, generator=generator) + near * images
    texts = torch.randn(num_pairs, width, generator=generator)
    first = torch.randint(num_images, (num_pairs,), generator=generator)
    step = torch.randint(1, num_images, (num_pairs,), generator=generator)
    pairs = torch.stack([first, (first + step) % num_images], 1)
    unit = torch.nn.functional.normalize
    return unit(images).to(DEVICE, dtype), pairs.to(DEVICE), unit(texts).to(DEVICE, dtype)


def run(loss, batch, dtype, *, scale=None, upstream=-1.7, needs=(True, True), **settings):
    """Loss and gradients to images, texts and scale (None where none was asked for)."""
    images, pairs, texts = batch
    images = images.to(dtype).clone().requires_grad_(needs[0])
    texts = texts.to(dtype).clone().requires_grad_(needs[1])
    inputs = [images, pairs, texts]
    if scale is not None:
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        inputs.append(torch.tensor([scale], dtype=wide, device=DEVICE, requires_grad=True))
    value = loss(*inputs, **settings)
    (value * upstream).backward()
    return value.detach(), images.grad, texts.grad, inputs[3].grad if scale is not None else None


def relative(got, wanted, floor=1e-6):
    error = torch.linalg.vector_norm(got.double() - wanted.double())
    return (error / torch.linalg.vector_norm(wanted.double()).clamp_min(floor)).item()


def check(
    op,
    batch,
    dtype,
    *,
    slack=1.0,
    gather=False,
    needs=(True, True),
    precision=None,
    keep=None,
    **settings,
):
    """Within 1e-5 in fp32; in 16 bits within 2e-3 (loss) and 1e-2 (gradients, by norm)."""
    precision = {} if precision is None else {"precision": precision}
    loss, backend = OPS[op], "triton-gather" if gather else "triton"
    wanted = run(loss, batch, torch.float64, needs=needs, backend="reference", **settings)
    got = run(loss, batch, keep or dtype, needs=needs, backend=backend, **settings, **precision)
    limits = (1e-5, 1e-5) if dtype == FP32 else (2e-3, 1e-2)
    assert got[0].dtype == torch.float32
    # A loss near 0 is a difference of logits: there the error is absolute.
    assert (
        relative(got[0], wanted[0], floor=0.1 * max(1.0, settings.get("scale", 1.0)))
        <= limits[0] * slack
    )
    for name, mine, right in zip(("images", "texts", "scale"), got[1:], wanted[1:], strict=True):
        assert (mine is None) == (right is None), name
        if right is not None:
            floor = 0.1 * settings.get("scale", 1.0)
            assert relative(mine, right, floor) <= limits[1] * slack, name


def group_ids(num_pairs, groups):
    return torch.arange(num_pairs, device=DEVICE) % groups


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


@pytest.mark.parametrize("dtype", [BF16, FP16])
@pytest.mark.parametrize("scale", [1.0, 14.3, 100.0])
def test_exponentials_are_kept(scale, dtype, monkeypatch):
    """In several chunks; beyond the bound they are made again; float32 keeps its digits."""
    monkeypatch.setattr(scores, "KEEP_BYTES", 1 << 30)
    monkeypatch.setattr(launch, "WORKSPACE_BYTES", 2 * 129 * 128)
    monkeypatch.setitem(OVERRIDES, "product16", Tile(32, 64, 32, 4, 2))
    batch = make_batch((129, 6, 33), dtype)
    check("contrastive", batch, dtype, scale=scale, group_ids=group_ids(129, 40))
    assert scores.kept_size(Block(*batch), "triton", "bf16", True) == (129, 144)
    for backend, precision, gradient in (
        ("triton", "fp32", True), ("triton", "bf16", False), ("triton-gather", "bf16", True),
    ):  # fmt: skip
        assert scores.kept_size(Block(*batch), backend, precision, gradient) == (0, 0)


@pytest.mark.parametrize("op", ["contrastive", "hinge"])
def test_products_by_the_library(op, monkeypatch):
    """The way that the tiles are measured against gives the same numbers."""
    monkeypatch.setattr(product_scores, "LIBRARY", True)
    extra = {"scale": 14.3} if op == "contrastive" else {"margin": 0.2}
    check(op, make_batch((129, 6, 33), FP32), FP32, **extra)
    check(op, make_batch((129, 6, 33), BF16), BF16, **extra)


@pytest.mark.parametrize(
    ("op", "gather"),
    [("contrastive", False), ("contrastive", True), ("hinge", False), ("hinge", True),
     ("squared", False)],
)  # fmt: skip
@pytest.mark.parametrize("precision", ["bf16", "fp16", "tf32x3"])
def test_precision_of_float32_inputs(precision, op, gather):
    """Rounded once, to be multiplied; gradients in float32, down to those that float16 has not."""
    batch = make_batch((129, 6, 33), FP32)
    extra = {"scale": 14.3} if op == "contrastive" else {}
    settings = {"upstream": 1e-6, "needs": (not gather, True), "slack": 1.5, "gather": gather}
    if precision == "tf32x3":
        check(op, batch, FP32, precision=precision, **settings, **extra)
    else:
        narrow = {"bf16": BF16, "fp16": FP16}[precision]
        check(op, (batch[0], batch[1], batch[2].to(narrow).float()), narrow,
              keep=FP32, precision=precision, **settings, **extra)  # fmt: skip


def test_float32_images_beside_texts_in_16_bits():
    """Differences are made before any rounding."""
    images, pairs, texts = make_batch((47, 10, 24), FP32, near=0.05)
    texts = texts.bfloat16().requires_grad_()
    loss = contrastive_loss(images, pairs, texts, 14.3, backend="triton")
    loss.backward()
    wide = texts.detach().double().requires_grad_()
    wanted = contrastive_loss(images.double(), pairs, wide, 14.3, backend="reference")
    wanted.backward()
    assert texts.grad.dtype == BF16
    assert relative(loss, wanted.detach()) < 2e-3
    assert relative(texts.grad, wide.grad) < 1e-2


@pytest.mark.slow
def test_thousand_pairs():
    check("contrastive", make_batch((1000, 60, 48), FP32), FP32, scale=14.3)
    check("hinge", make_batch((1000, 60, 48), FP32), FP32)
