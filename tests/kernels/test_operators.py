"""The losses as operators: torch's compiler, fake tensors, function transforms, autocast."""

import pytest
import torch
from clipdiff_kernels import contrastive_loss, hinge_loss, scores, squared_loss
from clipdiff_kernels.custom_ops import NAMESPACE
from clipdiff_kernels.fused.launch import available
from torch._subclasses.fake_tensor import FakeTensorMode

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
FUSED = available(DEVICE)
BACKENDS = ["triton", "triton-gather"] if FUSED else ["chunked", "gather"]
LOSSES = {
    "contrastive": lambda i, p, t, **kw: contrastive_loss(i, p, t, 14.3, **kw),
    "hinge": hinge_loss,
    "hardest": lambda i, p, t, **kw: hinge_loss(i, p, t, negatives="hardest", **kw),
    "reversed": lambda i, p, t, **kw: hinge_loss(i, p, t, negatives="reversed", margin=1.0, **kw),
    "squared": squared_loss,
}
CASES = [
    (name, backend)
    for name in LOSSES
    for backend in BACKENDS
    if not (name == "squared" and "gather" in backend)
]
every_case = pytest.mark.parametrize(("name", "backend"), CASES, ids=map("-".join, CASES))


@pytest.fixture(scope="module")
def inputs(make_batch):
    batch = make_batch(40, 9, 24, seed=2).to(torch.float32, DEVICE)
    return batch.image_embeds, batch.pair_index, batch.text_embeds


def gradients(function, inputs):
    """The loss and its gradients to images and texts."""
    images, pairs, texts = inputs
    images, texts = images.clone().requires_grad_(), texts.clone().requires_grad_()
    loss = function(images, pairs, texts)
    loss.backward()
    return loss.detach(), images.grad, texts.grad


@every_case
def test_compiles_as_one_graph(inputs, name, backend):
    def function(images, pairs, texts):
        return LOSSES[name](images, pairs, texts, backend=backend)

    torch._dynamo.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    for got, want in zip(gradients(compiled, inputs), gradients(function, inputs), strict=True):
        torch.testing.assert_close(got, want)


def test_the_choice_of_a_backend_is_no_graph_break(inputs):
    """It counts images, which a compiler can't: the operator does it when it runs."""
    torch._dynamo.reset()
    compiled = torch.compile(squared_loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*inputs), squared_loss(*inputs))
    exported = torch.export.export(_Module(), inputs).graph
    assert any(NAMESPACE in str(node.target) for node in exported.nodes)


class _Module(torch.nn.Module):
    def forward(self, images, pairs, texts):
        return contrastive_loss(images, pairs, texts, 10.0)


@every_case
def test_fake_tensors(inputs, name, backend):
    with FakeTensorMode() as mode:
        fake = [mode.from_tensor(each) for each in inputs]
        results = gradients(lambda *x: LOSSES[name](*x, backend=backend), fake)
    real = gradients(lambda *x: LOSSES[name](*x, backend=backend), inputs)
    for made, want in zip(results, real, strict=True):
        assert (made.shape, made.dtype, made.device) == (want.shape, want.dtype, want.device)


@every_case
def test_function_transforms(inputs, name, backend):
    images, pairs, texts = inputs

    def function(images, texts):
        return LOSSES[name](images, pairs, texts, backend=backend)

    got = torch.func.grad(function, argnums=(0, 1))(images, texts)
    want = gradients(lambda i, _, t: function(i, t), inputs)[1:]
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours, theirs)


@every_case
def test_a_second_derivative_is_refused(inputs, name, backend):
    images, pairs, texts = inputs
    texts = texts.clone().requires_grad_()
    loss = LOSSES[name](images, pairs, texts, backend=backend)
    (grad,) = torch.autograd.grad(loss, texts, create_graph=True)
    with pytest.raises(RuntimeError, match=r"no second derivative.*reference"):
        grad.sum().backward()

    def inner(texts):
        return torch.func.grad(lambda t: LOSSES[name](images, pairs, t, backend=backend))(texts)

    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.func.grad(lambda t: inner(t).sum())(texts.detach())


def test_the_reference_has_one(inputs):
    images, pairs, texts = inputs
    texts = texts.double().requires_grad_()
    loss = contrastive_loss(images.double(), pairs, texts, 14.3, backend="reference")
    (grad,) = torch.autograd.grad(loss, texts, create_graph=True)
    grad.square().sum().backward()
    assert texts.grad.norm() > 0


@every_case
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_decides_at_the_door(inputs, name, backend, dtype):
    """Products in its dtype, and nothing else: sums, loss and gradients stay float32."""
    if DEVICE == "cpu" and dtype == torch.float16 and not FUSED:
        pytest.skip("one dtype shows it")
    with torch.autocast(DEVICE, dtype):
        got = gradients(lambda *x: LOSSES[name](*x, backend=backend), inputs)
    precision = {torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
    want = gradients(lambda *x: LOSSES[name](*x, backend=backend, precision=precision), inputs)
    for ours, theirs in zip(got, want, strict=True):
        assert ours.dtype == torch.float32
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("keep_bytes", [0, 1 << 30])
def test_operators_pass_torchs_own_checks(inputs, keep_bytes, monkeypatch):
    """Schema (nothing is changed or aliased) and fake against real outputs."""
    monkeypatch.setattr(scores, "KEEP_BYTES", keep_bytes)
    images, pairs, texts = inputs
    ops = getattr(torch.ops, NAMESPACE)
    scale = torch.tensor(14.3, device=DEVICE)
    backend = BACKENDS[0]
    arguments = {
        ops.contrastive: (
            images, texts, scale, pairs, None, 1e-6, backend, "bf16", 0, 0, True,
        ),
        ops.hinge: (
            images, texts, pairs, None, 0.2, "all", backend, "fp32", 0, 0, True, True, 0.5,
        ),
        ops.squared: (images, texts, pairs, False, backend, "fp32", 0, 0, True, True, 0.5),
    }  # fmt: skip
    for op, values in arguments.items():
        torch.library.opcheck(op.default, values, test_utils=("test_schema", "test_faketensor"))
