"""Cases that nobody thought of: 240 batches drawn by hypothesis, every backend on each."""

import torch
from clipdiff_kernels import contrastive_loss, hinge_loss, squared_loss
from hypothesis import given, settings
from hypothesis import strategies as st

SCALES = st.one_of(st.floats(0.01, 100.0), st.sampled_from([1e-3, 0.01, 69.9, 70.1, 99.0, 100.0]))
SHORTEST = st.sampled_from([None, None, 0.1, 0.02, 1e-3, 0.0])
GROUPS = st.sampled_from(["none", "some", "one"])


@st.composite
def batches(draw, make_batch):
    """A float64 batch and its group ids: few or many images, repeated pairs, short differences."""
    batch = make_batch(
        draw(st.integers(1, 150)),
        draw(st.integers(2, 60)),
        draw(st.integers(2, 70)),
        seed=draw(st.integers(0, 2**31)),
        shortest=draw(SHORTEST),
    )
    groups = draw(GROUPS)
    ids = {"none": None, "some": batch.group_ids, "one": torch.zeros_like(batch.group_ids)}[groups]
    return batch, ids


def compare(differentiate, assert_close, op, batch, backends, scale=(), **arguments):
    """float32 and float64 of every backend against the float64 reference."""
    want = differentiate(op, batch, *scale, backend="reference", **arguments)
    size = max([1.0, *scale])
    for backend in backends:
        exact = differentiate(op, batch, *scale, backend=backend, **arguments)
        assert_close(exact, want, loss=1e-11, grad=1e-9, size=size)
        single = batch.to(torch.float32)
        rounded = differentiate(
            op, single.to(torch.float64), *scale, backend="reference", **arguments
        )
        got = differentiate(op, single, *scale, backend=backend, **arguments)
        grad = 3e-5 * max(1.0, size / 14.3)
        assert_close(got, rounded, loss=1e-5, grad=grad, size=size)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(data=st.data(), scale=SCALES)
def test_contrastive(make_batch, differentiate, assert_close, data, scale):
    batch, ids = data.draw(batches(make_batch))
    compare(
        differentiate, assert_close, contrastive_loss, batch, ["chunked", "gather"], (scale,),
        group_ids=ids, upstream=data.draw(st.floats(-3, 3)),
    )  # fmt: skip


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    data=st.data(),
    margin=st.floats(0, 2),
    negatives=st.sampled_from(["all", "hardest", "reversed"]),
)
def test_hinge(make_batch, differentiate, assert_close, data, margin, negatives):
    batch, ids = data.draw(batches(make_batch))
    compare(
        differentiate, assert_close, hinge_loss, batch, ["chunked", "gather"],
        group_ids=ids, margin=margin, negatives=negatives,
    )  # fmt: skip


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data(), normalize=st.booleans())
def test_squared(make_batch, differentiate, assert_close, data, normalize):
    batch, _ = data.draw(batches(make_batch))
    compare(differentiate, assert_close, squared_loss, batch, ["chunked"], normalize=normalize)
