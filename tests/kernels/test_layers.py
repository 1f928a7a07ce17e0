"""The losses as modules: the functions' numbers, a logit scale that learns, and what is saved."""

import math

import pytest
import torch
from clipdiff_kernels import (
    ContrastiveDifferenceLoss,
    HingeDifferenceLoss,
    SquaredDifferenceLoss,
    contrastive_loss,
    hinge_loss,
    squared_loss,
)

CASES = {
    "contrastive": (
        ContrastiveDifferenceLoss(20.0, eps=1e-3, backend="chunked"),
        lambda *batch, **ids: contrastive_loss(*batch, 20.0, eps=1e-3, backend="chunked", **ids),
    ),
    "default": (
        ContrastiveDifferenceLoss(),
        lambda *batch, **ids: contrastive_loss(*batch, 1 / 0.07, **ids),
    ),
    "hinge": (
        HingeDifferenceLoss(margin=0.5, negatives="hardest"),
        lambda *batch, **ids: hinge_loss(*batch, margin=0.5, negatives="hardest", **ids),
    ),
    "squared": (
        SquaredDifferenceLoss(normalize=True),
        lambda *batch, **_: squared_loss(*batch, normalize=True),
    ),
}
every_case = pytest.mark.parametrize(("module", "function"), CASES.values(), ids=CASES)


@pytest.fixture
def batch(make_batch):
    made = make_batch(40, 9, 24, seed=4).to(torch.float32)
    made.text_embeds.requires_grad_()
    return made


def inputs(batch):
    return batch.image_embeds, batch.pair_index, batch.text_embeds


@every_case
@pytest.mark.parametrize("grouped", [False, True])
def test_values_are_the_functions(batch, module, function, grouped):
    ids = batch.group_ids if grouped else None
    got = module(*inputs(batch), ids)
    want = function(*inputs(batch), group_ids=ids)
    torch.testing.assert_close(got, want)
    grads = [torch.autograd.grad(loss, batch.text_embeds)[0] for loss in (got, want)]
    torch.testing.assert_close(*grads)
    assert grads[0].norm() > 0


def test_groups_matter(batch):
    module = HingeDifferenceLoss()
    assert module(*inputs(batch), batch.group_ids) < module(*inputs(batch))


@pytest.mark.parametrize("kind", [ContrastiveDifferenceLoss, HingeDifferenceLoss])
def test_precision_and_backend_reach_the_function(batch, kind):
    for setting in ("backend", "precision"):
        with pytest.raises(ValueError, match=f"^{setting} must be"):
            kind(**{setting: "fp7"})(*inputs(batch))


def test_stats(batch):
    for kind in (ContrastiveDifferenceLoss, HingeDifferenceLoss, SquaredDifferenceLoss):
        loss, stats = kind(return_stats=True)(*inputs(batch))
        torch.testing.assert_close(loss, kind()(*inputs(batch)))
        _, want = squared_loss(*inputs(batch), return_stats=True)
        torch.testing.assert_close(stats, want)


def test_the_logit_scale_learns(make_batch):
    """Its gradient is that of the logarithm: scale times the function's."""
    batch = make_batch(40, 9, 24, seed=4)
    module = ContrastiveDifferenceLoss(20.0, learnable=True).double()
    module(*inputs(batch)).backward()
    scale = module.logit_scale.detach().exp().requires_grad_()
    contrastive_loss(*inputs(batch), scale, backend="reference").backward()
    torch.testing.assert_close(module.logit_scale.grad, scale.grad * scale.detach())
    before = module(*inputs(batch)).item()
    torch.optim.SGD(module.parameters(), lr=0.1).step()
    assert module(*inputs(batch)) < before


def test_a_frozen_logit_scale_has_no_gradient(batch):
    module = ContrastiveDifferenceLoss(20.0)
    module(*inputs(batch)).backward()
    assert module.logit_scale.grad is None


def test_a_module_of_16_bits_rounds_its_scale_once(batch):
    module = ContrastiveDifferenceLoss(20.0).bfloat16()
    rounded = math.exp(torch.tensor(math.log(20.0), dtype=torch.bfloat16).item())
    torch.testing.assert_close(module(*inputs(batch)), contrastive_loss(*inputs(batch), rounded))


def test_state_is_the_logit_scale(batch):
    """Learned or not, so that either loads the other's."""
    learned = ContrastiveDifferenceLoss(20.0, learnable=True)
    assert {name: value.shape for name, value in learned.state_dict().items()} == {
        "logit_scale": torch.Size([])
    }
    other = ContrastiveDifferenceLoss(5.0)
    assert other(*inputs(batch)) != learned(*inputs(batch))
    other.load_state_dict(learned.state_dict())
    assert other(*inputs(batch)) == learned(*inputs(batch))
    for kind in (HingeDifferenceLoss, SquaredDifferenceLoss):
        assert kind().state_dict() == {}


def test_settings_are_shown():
    assert repr(HingeDifferenceLoss(margin=0.5)) == (
        "HingeDifferenceLoss(margin=0.5, negatives='all', backend='auto', precision=None, "
        "return_stats=False)"
    )
    shown = repr(ContrastiveDifferenceLoss(learnable=True, precision="bf16"))
    assert shown.startswith("ContrastiveDifferenceLoss(learnable=True, eps=1e-06, ")
    assert "precision='bf16'" in shown
    assert "normalize=True" in repr(SquaredDifferenceLoss(normalize=True))


@pytest.mark.parametrize("scale", [0.0, -3.0, math.inf, math.nan])
def test_a_logit_scale_that_has_no_logarithm(scale):
    with pytest.raises(ValueError, match="logit_scale must be positive and finite, got"):
        ContrastiveDifferenceLoss(scale)


@every_case
def test_compiles_as_one_graph(batch, module, function):
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    got, want = (loss(*inputs(batch), batch.group_ids) for loss in (compiled, module))
    torch.testing.assert_close(got, want)
    grads = [torch.autograd.grad(loss, batch.text_embeds)[0] for loss in (got, want)]
    torch.testing.assert_close(*grads)


def test_a_learned_scale_compiles(batch):
    torch._dynamo.reset()
    module = ContrastiveDifferenceLoss(20.0, learnable=True)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    grads = [
        torch.autograd.grad(loss(*inputs(batch)), module.logit_scale)[0]
        for loss in (compiled, module)
    ]
    torch.testing.assert_close(*grads)
    assert grads[0] != 0
