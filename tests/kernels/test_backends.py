"""Every torch backend against the float64 reference: the loss and all gradients."""

from dataclasses import replace

import pytest
import torch
from clipdiff_kernels import contrastive_loss, hinge_loss, squared_loss

MATRIX_BACKENDS = ["chunked", "gather"]
SHAPES = [(1, 2, 5), (2, 3, 1), (3, 4, 16), (47, 9, 17), (129, 40, 33), (1000, 50, 19)]
TOLERANCE = {
    torch.float64: (1e-12, 1e-10),
    torch.float32: (1e-5, 2e-5),
    torch.bfloat16: (2e-3, 1e-2),
    torch.float16: (2e-3, 2e-3),
}
DTYPES = list(TOLERANCE)

CASES = [(squared_loss, (), {"normalize": flag}, "chunked") for flag in (False, True)] + [
    case
    for backend in MATRIX_BACKENDS
    for case in [
        (contrastive_loss, (0.01,), {}, backend),
        (contrastive_loss, (1.0,), {}, backend),
        (contrastive_loss, (14.3,), {}, backend),
        (contrastive_loss, (100.0,), {}, backend),
        (hinge_loss, (), {"negatives": "all"}, backend),
        (hinge_loss, (), {"negatives": "hardest", "margin": 0.0}, backend),
        (hinge_loss, (), {"negatives": "reversed"}, backend),
    ]
]
NAMES = ["-".join(map(str, (op.__name__, *s, *k.values(), b))) for op, s, k, b in CASES]


def every_case(function):
    return pytest.mark.parametrize(("op", "scale", "settings", "backend"), CASES, ids=NAMES)(
        function
    )


@pytest.fixture
def check(differentiate, assert_close):
    """Compare a backend on ``batch`` with the reference on the same numbers in float64."""

    def compare(op, batch, scale, settings, backend, **more):
        want = differentiate(
            op, batch.to(torch.float64), *scale, backend="reference", **settings, **more
        )
        got = differentiate(op, batch, *scale, backend=backend, **settings, **more)
        loss, grad = TOLERANCE[batch.text_embeds.dtype]
        size = max([1.0, *scale])  # of the logits: their rounding is an error of the exponent
        assert_close(got, want, loss=loss, grad=grad * max(1.0, size / 14.3), size=size)

    return compare


@every_case
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.usefixtures("poisoned")
def test_shapes(make_batch, check, op, scale, settings, backend, shape):
    check(op, make_batch(*shape), scale, settings, backend)
    check(op, make_batch(*shape).to(torch.float32), scale, settings, backend)


@every_case
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes(make_batch, check, op, scale, settings, backend, dtype):
    check(op, make_batch(70, 20, 24).to(dtype), scale, settings, backend)


@every_case
@pytest.mark.parametrize("groups", ["some", "one", "own"])
@pytest.mark.usefixtures("poisoned")
def test_groups(make_batch, check, op, scale, settings, backend, groups):
    """ "one": no row has a negative left."""
    if op is squared_loss:
        pytest.skip("the squared loss has no negatives")
    batch = make_batch(47, 9, 17)
    ids = {
        "some": batch.group_ids,
        "one": torch.zeros_like(batch.group_ids),
        "own": torch.arange(47) * 10**12,
    }[groups]
    check(op, batch.to(torch.float32), scale, settings, backend, group_ids=ids)


@every_case
def test_upstream_gradient_and_frozen_images(make_batch, check, op, scale, settings, backend):
    batch = make_batch(47, 9, 17)
    check(op, batch, scale, settings, backend, upstream=-3.7)
    check(op, batch, scale, settings, backend, image_grad=False)


@every_case
def test_loss_scaling_keeps_float16_gradients(
    make_batch, differentiate, assert_close, op, scale, settings, backend
):
    """1 / N times a small weight underflows in float16 unless the upstream gradient comes first."""
    batch = make_batch(2000, 50, 16).to(torch.float16)
    want = differentiate(
        op, batch.to(torch.float64), *scale, backend="reference", upstream=4096.0, **settings
    )
    got = differentiate(op, batch, *scale, backend=backend, upstream=4096.0, **settings)
    assert_close(got, want, loss=2e-3, grad=2e-3)


@every_case
@pytest.mark.parametrize("shortest", [0.05, 0.01, 0.001])
def test_short_differences(make_batch, check, op, scale, settings, backend, shortest):
    """Pairs of images so close that 1 / n_k would magnify the gather trick's rounding."""
    batch = make_batch(60, 12, 32, shortest=shortest)
    check(op, batch, scale, settings, backend)
    check(op, batch.to(torch.float32), scale, settings, backend)


@every_case
def test_strided_inputs(make_batch, check, op, scale, settings, backend):
    batch = make_batch(47, 9, 17)
    strided = replace(
        batch,
        image_embeds=batch.image_embeds.T.contiguous().T,
        text_embeds=batch.text_embeds.repeat(1, 2)[:, ::2].T.contiguous().T,
        pair_index=batch.pair_index.T.contiguous().T.int(),
    )
    assert not strided.text_embeds.is_contiguous()
    check(op, strided, scale, settings, backend)


@pytest.mark.parametrize("backend", MATRIX_BACKENDS)
def test_texts_need_not_be_unit(make_batch, check, backend):
    """Long texts bring logits past the bound up to which exp needs no shift."""
    batch = make_batch(47, 9, 17)
    long = replace(batch, text_embeds=batch.text_embeds * 40)
    check(contrastive_loss, long, (14.3,), {}, backend)


@pytest.mark.parametrize("backend", ["reference", *MATRIX_BACKENDS])
def test_logit_scale_forms_agree(make_batch, backend):
    batch = make_batch(9, 5, 8)
    inputs = batch.image_embeds, batch.pair_index, batch.text_embeds
    losses = [
        contrastive_loss(*inputs, scale, backend=backend)
        for scale in (2.5, torch.tensor(2.5), torch.tensor([2.5], dtype=torch.float16))
    ]
    assert all(loss.shape == () for loss in losses)
    torch.testing.assert_close(losses[1:], [losses[0]] * 2)


def test_stats(make_batch):
    batch = make_batch(9, 5, 8)
    first, second = batch.pair_index.T
    d = batch.image_embeds[first] - batch.image_embeds[second]
    text = batch.text_embeds.clone().requires_grad_()
    _, stats = squared_loss(batch.image_embeds, batch.pair_index, text, return_stats=True)
    want = torch.cosine_similarity(d, text).mean().detach()
    torch.testing.assert_close(stats.mean_cosine, want)
    torch.testing.assert_close(stats.mean_norm, d.norm(dim=1).mean())
    assert not stats.mean_cosine.requires_grad
