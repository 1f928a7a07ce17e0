"""Who computes a loss: our backends, and the peers that the same batch is given to.

Peers are given the normalised differences (N, D), made anew each step as they must be for them.
"""

from __future__ import annotations

import pytest
import torch
from clipdiff_kernels import contrastive_loss, hinge_loss, launch, squared_loss
from harness import LOGIT_SCALE, Loss, device
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, normalize


def differences(images: Tensor, pairs: Tensor) -> Tensor:
    return images[pairs[:, 0]] - images[pairs[:, 1]]


def eager_contrastive(images: Tensor, pairs: Tensor, texts: Tensor) -> Tensor:
    """open_clip's ClipLoss on one device, restated: two products, two cross entropies."""
    dhat = normalize(differences(images, pairs), dim=1)
    logits_per_image = LOGIT_SCALE * dhat @ texts.T
    logits_per_text = LOGIT_SCALE * texts @ dhat.T
    labels = torch.arange(len(texts), device=texts.device)
    return (cross_entropy(logits_per_image, labels) + cross_entropy(logits_per_text, labels)) / 2


def eager_squared(images: Tensor, pairs: Tensor, texts: Tensor) -> Tensor:
    return mse_loss(texts, differences(images, pairs))


def eager_hinge(images: Tensor, pairs: Tensor, texts: Tensor) -> Tensor:
    """VSE++'s sum of hinges, margin 0.2, as its public code writes it."""
    scores = texts @ normalize(differences(images, pairs), dim=1).T
    own = scores.diagonal().unsqueeze(1)
    by_row, by_column = (0.2 + scores - own).relu(), (0.2 + scores - own.T).relu()
    off = 1 - torch.eye(len(texts), device=texts.device, dtype=texts.dtype)
    return ((by_row * off).sum() + (by_column * off).sum()) / (2 * len(texts))


def _open_clip() -> Loss:
    clip_loss = pytest.importorskip("open_clip").ClipLoss()
    scale = torch.tensor(LOGIT_SCALE, device=device())

    def loss(images: Tensor, pairs: Tensor, texts: Tensor) -> Tensor:
        dhat = normalize(differences(images, pairs), dim=1)
        return clip_loss(dhat, texts, scale.to(texts.dtype))

    return loss


def _memeff() -> Loss:
    _needs_gpu()
    memeff = pytest.importorskip("memeff")
    module = memeff.MemoryEfficientCLIPLoss(temperature=1 / LOGIT_SCALE, normalized_inputs=True)
    return lambda i, p, t: module(normalize(differences(i, p), dim=1), t)


def _inf_cl() -> Loss:
    _needs_gpu()
    flash = pytest.importorskip("inf_cl").cal_flash_loss

    def loss(images: Tensor, pairs: Tensor, texts: Tensor) -> Tensor:
        if texts.shape[1] % 256:
            pytest.skip("Inf-CL takes widths that are multiples of 256")
        dhat = normalize(differences(images, pairs), dim=1)
        rows, columns = (flash(*x, scale=LOGIT_SCALE) for x in ((texts, dhat), (dhat, texts)))
        return (rows.mean() + columns.mean()) / 2

    return loss


def _ours(op: str, backend: str) -> Loss:
    if backend == "triton" and (launch.interpreting() or not torch.cuda.is_available()):
        pytest.skip("the Triton kernels are timed on a GPU only")
    if op == "contrastive":
        return lambda i, p, t: contrastive_loss(i, p, t, LOGIT_SCALE, backend=backend)
    function = squared_loss if op == "squared" else hinge_loss
    return lambda i, p, t: function(i, p, t, backend=backend)


def _compiled(loss: Loss) -> Loss:
    _needs_gpu()
    return torch.compile(loss)


def _needs_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("a peer for GPUs")


EAGER = {"contrastive": eager_contrastive, "squared": eager_squared, "hinge": eager_hinge}
NAMES = {
    "contrastive": [
        "eager", "eager-compiled", "open_clip", "open_clip-compiled", "memeff", "inf-cl",
        "reference", "chunked", "gather", "triton",
    ],
    "squared": ["eager", "eager-compiled", "reference", "chunked", "triton"],
    "hinge": ["eager", "eager-compiled", "reference", "chunked", "gather", "triton"],
}  # fmt: skip
PEERS = {"open_clip": _open_clip, "memeff": _memeff, "inf-cl": _inf_cl}


def provider(op: str, name: str) -> Loss:
    """The loss that ``name`` computes; skips the test where it cannot run here."""
    base = name.removesuffix("-compiled")
    if base == "eager":
        loss = EAGER[op]
    elif base in PEERS:
        loss = PEERS[base]()
    else:
        loss = _ours(op, base)
    return _compiled(loss) if name.endswith("-compiled") else loss
