"""Each op once, small, with each Triton backend and precision, against float64."""

from __future__ import annotations

from functools import partial

import harness
import providers
import torch
from torch import Tensor

from .record import Record

SECONDS = 20
SHAPE, DRY_SHAPE = harness.Size(300, 90, 768), harness.Size(19, 7, 24)
VARIANTS = {
    "contrastive": ("contrastive", {}),
    "squared": ("squared", {}),
    "squared normalize": ("squared", {"normalize": True}),
    "hinge all": ("hinge", {"negatives": "all"}),
    "hinge hardest": ("hinge", {"negatives": "hardest"}),
    "hinge reversed": ("hinge", {"negatives": "reversed"}),
}
INPUTS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# (dtype of the inputs, precision of the products); None: the dtype of the inputs.
PRECISIONS = [("bf16", None), ("fp32", None), ("fp32", "bf16"), ("fp32", "tf32x3"), ("fp16", None)]


def run(record: Record) -> None:
    """A row ``agreement`` for each case; what disagrees is a failure, and stops nothing."""
    size = DRY_SHAPE if record.dry else SHAPE
    pieces = {}
    for inputs, precision in PRECISIONS:
        for variant, (op, _) in VARIANTS.items():
            for backend in providers.FUSED[op]:
                name = f"{variant}, {backend}, {inputs}, {precision or inputs}"
                pieces[name] = partial(agree, record, size, variant, backend, inputs, precision)
    record.each(pieces, SECONDS)


def agree(
    record: Record,
    size: harness.Size,
    variant: str,
    backend: str,
    inputs: str,
    precision: str | None,
) -> None:
    """Compare loss and gradients (of the images too where the backend has them) with float64."""
    op, settings = VARIANTS[variant]
    products = precision or inputs
    piece = f"{variant}, {backend}, {inputs}, {products}"
    row = {"piece": piece, "op": op, "variant": variant, "backend": backend, "inputs": inputs}
    row |= {"precision": products, "size": str(size)}
    batch = harness.make_batch(size, INPUTS[inputs])
    wide = [each.double() if each.is_floating_point() else each for each in batch]
    with_images = backend != "triton-gather"
    try:
        loss = providers.ours(op, backend, precision, **settings)
        got = gradients(loss, batch, with_images)
        want = gradients(providers.ours(op, "reference", **settings), wide, with_images)
    except Exception:
        record.add("agreement", **row, within=False)
        raise
    errors = [harness.relative(mine, right) for mine, right in zip(got, want, strict=True)]
    loss_limit, grad_limit = harness.LIMITS[products]
    near_ties = variant == "hinge hardest" and products in ("bf16", "fp16")
    compared = [] if near_ties else errors[1:]  # another negative is as hard, within rounding
    within = errors[0] <= loss_limit and all(error <= grad_limit for error in compared)
    names = ("loss_error", "text_error", "image_error")
    row |= dict(zip(names, errors, strict=False))
    record.add("agreement", **row, within=within)
    if not within:
        record.fail(f"{variant}, {backend}", f"disagrees with float64: {row}")


def gradients(loss: harness.Loss, batch: list[Tensor], with_images: bool) -> list[Tensor]:
    """Loss, gradient of the texts and, if wanted, of the images."""
    images, pairs, texts = batch
    leaves = [texts.detach().requires_grad_(), images.detach().requires_grad_(with_images)]
    value = loss(leaves[1], pairs, leaves[0])
    value.backward()
    return [value.detach(), *(leaf.grad for leaf in leaves if leaf.requires_grad)]
