"""Cases that nobody thought of, for the Triton kernels: 220 batches drawn by hypothesis.

Compiled where there is a GPU, else by Triton's interpreter, as ``test_fused.py``.
"""

import pytest
import torch
from clipdiff_kernels import contrastive_loss, hinge_loss, squared_loss
from clipdiff_kernels.fused import launch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if not launch.available(DEVICE):
    pytest.skip(
        "no GPU, no TRITON_INTERPRET=1 (test_fused_interpreter.py runs these tests so)",
        allow_module_level=True,
    )
pytest.importorskip("hypothesis")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

pytestmark = pytest.mark.slow

DTYPES = st.sampled_from([torch.float32, torch.float32, torch.bfloat16, torch.float16])
SCALES = st.one_of(st.floats(0.01, 100.0), st.sampled_from([1e-3, 0.01, 74.9, 75.1, 100.0]))
SHORTEST = st.sampled_from([None, None, 0.1, 0.02, 1e-3, 0.0])
WAYS = st.sampled_from([(True, False), (False, False), (False, True)])  # image_grad, gather


@st.composite
def batches(draw, make_batch, dtype):
    """A batch and its group ids: few or many images, repeated pairs, short differences."""
    batch = make_batch(
        draw(st.integers(1, 70)),
        draw(st.integers(2, 30)),
        draw(st.integers(2, 70)),
        seed=draw(st.integers(0, 2**31)),
        shortest=draw(SHORTEST),
    ).to(dtype, DEVICE)
    groups = draw(st.sampled_from(["none", "some", "one"]))
    ids = {"none": None, "some": batch.group_ids, "one": torch.zeros_like(batch.group_ids)}[groups]
    return batch, ids


@pytest.fixture(scope="module")
def check(differentiate, assert_close):
    """Compare a Triton loss with the float64 reference on the same numbers."""

    def compare(loss, batch, *scale, gather=False, **arguments):
        backend = "triton-gather" if gather else "triton"
        got = differentiate(loss, batch, *scale, backend=backend, **arguments)
        wide = batch.to(torch.float64)
        want = differentiate(loss, wide, *scale, backend="reference", **arguments)
        size = max([1.0, *scale])
        narrow = batch.text_embeds.dtype != torch.float32
        of_loss, of_grad = (2e-3, 1e-2) if narrow else (1e-5, 3e-5)
        assert_close(got, want, loss=of_loss, grad=of_grad * max(1.0, size / 14.3), size=size)

    return compare


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data(), dtype=DTYPES, scale=SCALES, way=WAYS, upstream=st.floats(-3, 3))
def test_contrastive(make_batch, check, data, dtype, scale, way, upstream):
    batch, ids = data.draw(batches(make_batch, dtype))
    check(
        contrastive_loss, batch, scale,
        image_grad=way[0], gather=way[1], group_ids=ids, upstream=upstream,
    )  # fmt: skip


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    data=st.data(),
    dtype=DTYPES,
    margin=st.floats(0, 2),
    negatives=st.sampled_from(["all", "hardest", "reversed"]),
    way=WAYS,
)
def test_hinge(make_batch, check, data, dtype, margin, negatives, way):
    batch, ids = data.draw(batches(make_batch, dtype))
    check(
        hinge_loss, batch, image_grad=way[0], gather=way[1],
        group_ids=ids, margin=margin, negatives=negatives,
    )  # fmt: skip


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data(), dtype=DTYPES, normalize=st.booleans())
def test_squared(make_batch, check, data, dtype, normalize):
    batch, _ = data.draw(batches(make_batch, dtype))
    check(squared_loss, batch, normalize=normalize)
