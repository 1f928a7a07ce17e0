"""What only a GPU can show: no wait for it, capture as a graph, other streams and devices.

Part of the GPU round (kernels/benchmarks/gpu.py); elsewhere these tests skip.
"""

import pytest
import torch
from clipdiff_kernels import contrastive_loss, hinge_loss, squared_loss

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

LOSSES = {
    "contrastive": lambda i, p, t, **kw: contrastive_loss(i, p, t, 14.3, **kw),
    "hinge": hinge_loss,
    "hardest": lambda i, p, t, **kw: hinge_loss(i, p, t, negatives="hardest", **kw),
    "squared": squared_loss,
}
CASES = [
    (name, backend)
    for name in LOSSES
    for backend in ("triton", "triton-gather")
    if not (name == "squared" and backend == "triton-gather")
]
every_case = pytest.mark.parametrize(("name", "backend"), CASES, ids=map("-".join, CASES))


@pytest.fixture
def inputs(make_batch):
    batch = make_batch(600, 40, 64, seed=2).to(torch.bfloat16, "cuda")
    return batch.image_embeds, batch.pair_index, batch.text_embeds


def step(name, backend, images, pairs, texts):
    """The loss, and its gradient to the texts."""
    leaf = texts.detach().requires_grad_()
    loss = LOSSES[name](images, pairs, leaf, backend=backend)
    return loss.detach(), torch.autograd.grad(loss, leaf)[0]


@every_case
def test_nothing_waits_for_the_device(inputs, name, backend):
    step(name, backend, *inputs)
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(name, backend, *inputs)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@every_case
def test_a_step_is_captured_as_a_graph(inputs, name, backend):
    images, pairs, texts = inputs
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step(name, backend, images, pairs, texts)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss, grad = step(name, backend, images, pairs, texts)
    texts.copy_(texts.flip(0))
    graph.replay()
    for got, want in zip((loss, grad), step(name, backend, *inputs), strict=True):
        assert torch.equal(got, want)


@every_case
def test_another_stream_gives_the_same_bits(inputs, name, backend):
    want = step(name, backend, *inputs)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        got = step(name, backend, *inputs)
    torch.cuda.current_stream().wait_stream(side)
    assert all(map(torch.equal, got, want))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@every_case
def test_a_device_that_is_not_current(inputs, name, backend):
    want = step(name, backend, *inputs)
    got = step(name, backend, *(each.to("cuda:1") for each in inputs))
    assert {each.device.index for each in got} == {1}
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours.cpu(), theirs.cpu())
