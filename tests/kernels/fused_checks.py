"""A Triton loss and its gradients against the float64 reference, for ``test_fused*.py``."""

import torch
from clipdiff_kernels import contrastive_loss, hinge_loss, squared_loss

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
OPS = {"contrastive": contrastive_loss, "squared": squared_loss, "hinge": hinge_loss}
FP32, BF16, FP16 = torch.float32, torch.bfloat16, torch.float16


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
