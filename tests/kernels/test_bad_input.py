"""Wrong arguments: a ValueError that names the argument and says what came."""

import pytest
import torch
from clipdiff_kernels import (
    contrastive_loss,
    contrastive_loss_rows,
    hinge_loss,
    hinge_loss_rows,
    squared_loss,
    squared_loss_rows,
)
from clipdiff_kernels.blocks import alone
from clipdiff_kernels.checks import DEBUG_VARIABLE

X = torch.eye(4, 8)
PAIRS = torch.tensor([[0, 1], [1, 2], [3, 0]])
TEXT = torch.eye(3, 8)

OPS = {
    "contrastive": lambda *inputs: contrastive_loss(*inputs, 1.0),
    "squared": squared_loss,
    "hinge": hinge_loss,
}
INPUTS = {
    "image_embeds must be a matrix.*\\(8,\\)": (X[0], PAIRS, TEXT),
    "text_embeds must be a matrix.*\\(3, 8, 1\\)": (X, PAIRS, TEXT[..., None]),
    "image_embeds must be floating.*int64": (X.long(), PAIRS, TEXT),
    "text_embeds must be floating.*complex64": (X, PAIRS, TEXT.to(torch.complex64)),
    "both be float64, or neither.*float32 and torch.float64": (X, PAIRS, TEXT.double()),
    "same width.*\\(4, 8\\) and \\(3, 7\\)": (X, PAIRS, TEXT[:, :7]),
    "one row a pair.*\\(3, 2\\) and \\(2, 8\\)": (X, PAIRS, TEXT[:2]),
    "pair_index must have shape \\(N, 2\\).*\\(2, 3\\)": (X, PAIRS.T, TEXT),
    "pair_index must have shape \\(N, 2\\), N >= 1.*\\(0, 2\\)": (X, PAIRS[:0], TEXT[:0]),
    "pair_index must hold integers.*float32": (X, PAIRS.float(), TEXT),
    "pair_index is on meta": (X, PAIRS.to("meta"), TEXT),
    "text_embeds is on meta": (X, PAIRS, TEXT.to("meta")),
}


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
@pytest.mark.parametrize(("message", "inputs"), INPUTS.items(), ids=list(INPUTS))
def test_inputs(op, message, inputs):
    with pytest.raises(ValueError, match=message):
        op(*inputs)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("logit_scale must be positive.*0", lambda: contrastive_loss(X, PAIRS, TEXT, 0)),
        ("logit_scale must be positive.*-1", lambda: contrastive_loss(X, PAIRS, TEXT, -1.0)),
        ("logit_scale.*nan", lambda: contrastive_loss(X, PAIRS, TEXT, float("nan"))),
        (
            "logit_scale must be a float or.*\\(2,\\)",
            lambda: contrastive_loss(X, PAIRS, TEXT, torch.ones(2)),
        ),
        (
            "logit_scale must be a float or.*int64",
            lambda: contrastive_loss(X, PAIRS, TEXT, torch.tensor(1)),
        ),
        (
            "logit_scale is on meta",
            lambda: contrastive_loss(X, PAIRS, TEXT, torch.ones((), device="meta")),
        ),
        ("eps must be positive.*0", lambda: contrastive_loss(X, PAIRS, TEXT, 1.0, eps=0)),
        ("margin must be at least 0.*-0.1", lambda: hinge_loss(X, PAIRS, TEXT, margin=-0.1)),
        ("negatives must be.*'some'", lambda: hinge_loss(X, PAIRS, TEXT, negatives="some")),
        (
            "group_ids must have shape \\(3,\\).*\\(2,\\)",
            lambda: hinge_loss(X, PAIRS, TEXT, group_ids=torch.zeros(2, dtype=torch.int64)),
        ),
        (
            "group_ids must be integers.*float32",
            lambda: contrastive_loss(X, PAIRS, TEXT, 1.0, group_ids=torch.zeros(3)),
        ),
        (
            "precision must be None or one of fp32.*'tf32'",
            lambda: hinge_loss(X, PAIRS, TEXT, precision="tf32"),
        ),
        ("backend must be auto or.*'cuda'", lambda: squared_loss(X, PAIRS, TEXT, backend="cuda")),
    ],
)
def test_settings(message, call):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("offset", [-1, 2])
def test_blocks_lie_within_the_pairs(offset):
    where = {"row_offset": offset, "all_reduce": alone}
    for call in (
        lambda: contrastive_loss_rows(X, PAIRS, TEXT[:2], 1.0, **where),
        lambda: hinge_loss_rows(X, PAIRS, TEXT[:2], **where),
        lambda: squared_loss_rows(X, PAIRS, TEXT[:2], **where),
    ):
        with pytest.raises(ValueError, match=rf"row_offset {offset}.*\(2, 8\).*\(3, 2\)"):
            call()


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
@pytest.mark.parametrize("wrong", [-1, 4])
def test_debug_switch_checks_the_index_range(op, wrong, monkeypatch):
    monkeypatch.setenv(DEBUG_VARIABLE, "1")
    pairs = PAIRS.clone()
    pairs[2, 1] = wrong
    with pytest.raises(ValueError, match=rf"pair_index holds.*{wrong}.*\(4, 8\)"):
        op(X, pairs, TEXT)


def test_debug_switch_checks_the_scale(monkeypatch):
    monkeypatch.setenv(DEBUG_VARIABLE, "1")
    with pytest.raises(ValueError, match=r"logit_scale must be positive.*-2"):
        contrastive_loss(X, PAIRS, TEXT, torch.tensor([-2.0]))


def test_one_pair(monkeypatch):
    """N = 1 has no negatives: both in-batch losses are 0 and pull at nothing."""
    monkeypatch.setenv(DEBUG_VARIABLE, "1")
    text = TEXT[:1].clone().requires_grad_()
    for loss in (
        contrastive_loss(X, PAIRS[:1], text, 5.0),
        hinge_loss(X, PAIRS[:1], text),
        hinge_loss(X, PAIRS[:1], text, negatives="hardest"),
    ):
        loss.backward()
        assert abs(loss.item()) < 1e-6
    assert text.grad.abs().max() < 1e-6
