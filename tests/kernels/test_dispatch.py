"""Which backend is chosen, what is said about it, and what is imported for it."""

import subprocess
import sys

import pytest
import torch
from clipdiff_kernels import choose_backend, contrastive_loss, contrastive_loss_rows, squared_loss
from clipdiff_kernels.blocks import alone
from clipdiff_kernels.dispatch import BACKEND_VARIABLE, GATHER_FROM


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch):
    monkeypatch.delenv(BACKEND_VARIABLE, raising=False)


@pytest.mark.parametrize(("num_pairs", "backend"), [(2000, "gather"), (40, "chunked")])
def test_auto_goes_by_the_ratio(make_batch, num_pairs, backend):
    batch = make_batch(num_pairs, 100, 256)
    choice = choose_backend("contrastive", batch.image_embeds, batch.pair_index)
    assert choice.backend == backend
    images = len(batch.pair_index.unique())
    for fact in (
        "cpu",
        f"{num_pairs} / {images}",
        "D = 256",
        f"{dict(GATHER_FROM['cpu'])[256]:.2f}",
    ):
        assert fact in choice.reason


def test_images_that_no_pair_uses_do_not_count(make_batch):
    batch = make_batch(400, 100, 512)
    padded = torch.cat([batch.image_embeds, torch.zeros(5000, 512, dtype=torch.float64)])
    assert choose_backend("hinge", padded, batch.pair_index).backend == "gather"


def test_the_squared_loss_has_nothing_to_gather(make_batch):
    batch = make_batch(2000, 100, 512)
    assert choose_backend("squared", batch.image_embeds, batch.pair_index).backend == "chunked"
    with pytest.raises(ValueError, match=r"squared.*reference, chunked, triton.*'gather'"):
        squared_loss(batch.image_embeds, batch.pair_index, batch.text_embeds, backend="gather")


def test_argument_beats_variable_beats_table(make_batch, monkeypatch):
    batch = make_batch(2000, 100, 512)
    inputs = batch.image_embeds, batch.pair_index
    monkeypatch.setenv(BACKEND_VARIABLE, "reference")
    assert choose_backend("contrastive", *inputs).backend == "reference"
    assert BACKEND_VARIABLE in choose_backend("contrastive", *inputs).reason
    assert choose_backend("contrastive", *inputs, "chunked").backend == "chunked"
    monkeypatch.setenv(BACKEND_VARIABLE, "cuda")
    with pytest.raises(ValueError, match=rf"{BACKEND_VARIABLE} must be .*'cuda'"):
        contrastive_loss(*inputs, batch.text_embeds, 1.0)


def test_unknown_op(make_batch):
    batch = make_batch(9, 5, 8)
    with pytest.raises(ValueError, match=r"op must be one of contrastive.*'margin'"):
        choose_backend("margin", batch.image_embeds, batch.pair_index)


def test_blocks_need_a_backend_that_has_them(make_batch):
    batch = make_batch(9, 5, 8)
    inputs = batch.image_embeds, batch.pair_index, batch.text_embeds
    rows = {"row_offset": 0, "all_reduce": alone, "backend": "reference"}
    with pytest.raises(ValueError, match=r"'reference' cannot compute a block of rows.*8 of 9"):
        contrastive_loss_rows(*inputs[:2], batch.text_embeds[:8], 1.0, **rows)
    whole = contrastive_loss(*inputs, 1.0, backend="reference")
    assert torch.equal(contrastive_loss_rows(*inputs, 1.0, **rows), whole)


def test_triton_is_imported_only_where_it_is_chosen():
    script = """
import sys, torch
before = set(sys.modules)
from clipdiff_kernels import contrastive_loss, hinge_loss, squared_loss
x = torch.nn.functional.normalize(torch.randn(4, 8), dim=1)
pairs = torch.tensor([[0, 1], [2, 3], [1, 0]])
text = x[:3].clone().requires_grad_()
(contrastive_loss(x, pairs, text, 1.0) + hinge_loss(x, pairs, text)
 + squared_loss(x, pairs, text)).backward()
new = {name.split(".")[0] for name in set(sys.modules) - before}
assert "triton" not in new and "clipdiff" not in new, new
"""
    subprocess.run([sys.executable, "-c", script], check=True)
