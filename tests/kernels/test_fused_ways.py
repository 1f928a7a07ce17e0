"""Other precisions and other ways to the same numbers, as ``test_fused.py``."""

import pytest
from clipdiff_kernels import contrastive_loss, scores
from clipdiff_kernels.blocks import Block
from clipdiff_kernels.fused import launch, product_scores
from clipdiff_kernels.fused.tiles import OVERRIDES, Tile
from fused_checks import BF16, DEVICE, FP16, FP32, check, group_ids, make_batch, relative

if not launch.available(DEVICE):
    pytest.skip(
        "no GPU, no TRITON_INTERPRET=1 (test_fused_interpreter.py runs these tests so)",
        allow_module_level=True,
    )

pytestmark = pytest.mark.usefixtures("poison")


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
