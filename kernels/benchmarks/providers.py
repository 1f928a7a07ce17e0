"""Who computes a loss: our backends, and the peers that the same batch is given to.

Peers are given the normalised differences (N, D), made anew each step as they must be for them.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType

import torch
from clipdiff_kernels import contrastive_loss, hinge_loss, scores, squared_loss
from clipdiff_kernels.fused import product_scores
from harness import LOGIT_SCALE, Loss, device
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, normalize


class UnavailableError(Exception):
    """A provider cannot run here, and why."""


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
    clip_loss = _peer("open_clip").ClipLoss()
    scale = torch.tensor(LOGIT_SCALE, device=device())

    def loss(images: Tensor, pairs: Tensor, texts: Tensor) -> Tensor:
        dhat = normalize(differences(images, pairs), dim=1)
        return clip_loss(dhat, texts, scale.to(texts.dtype))

    return loss


def _memeff() -> Loss:
    _needs_gpu()
    memeff = _peer("memeff")
    module = memeff.MemoryEfficientCLIPLoss(temperature=1 / LOGIT_SCALE, normalized_inputs=True)
    return lambda i, p, t: module(normalize(differences(i, p), dim=1), t)


def _inf_cl() -> Loss:
    _needs_gpu()
    flash = _peer("inf_cl").cal_flash_loss

    def loss(images: Tensor, pairs: Tensor, texts: Tensor) -> Tensor:
        if texts.shape[1] % 256:
            raise UnavailableError("Inf-CL takes widths that are multiples of 256")
        dhat = normalize(differences(images, pairs), dim=1)
        rows, columns = (flash(*x, scale=LOGIT_SCALE) for x in ((texts, dhat), (dhat, texts)))
        return (rows.mean() + columns.mean()) / 2

    return loss


def ours(op: str, backend: str, precision: str | None = None, **settings: object) -> Loss:
    """Our loss by one backend; ``precision`` None multiplies in the dtype of the texts."""
    function = {"contrastive": contrastive_loss, "squared": squared_loss, "hinge": hinge_loss}[op]
    chosen = partial(function, backend=backend, precision=precision, **settings)
    if op == "contrastive":
        return lambda i, p, t: chosen(i, p, t, LOGIT_SCALE)
    return chosen


ALTERNATIVES = {"triton-library": "library", "triton-kept": "kept"}
"""Ways to a product that ``triton`` is measured against: provider, and what it changes."""


@contextmanager
def alternative(name: str) -> Iterator[str]:
    """The backend of a provider, in the way that its name asks for.

    The library's products, and kernels for what is left; or exp z kept for the backward pass.
    """
    way = ALTERNATIVES.get(name)
    product_scores.LIBRARY = way == "library"
    scores.KEEP_BYTES = 1 << 40 if way == "kept" else 0
    try:
        yield "triton" if way else name
    finally:
        product_scores.LIBRARY, scores.KEEP_BYTES = False, 0


def _compiled(loss: Loss) -> Loss:
    """Compiled for the shapes of one size; without a GPU traced only, which proves that it can."""
    backend = "inductor" if torch.cuda.is_available() else "aot_eager"
    return torch.compile(loss, backend=backend, dynamic=False)


def _peer(name: str) -> ModuleType:
    if importlib.util.find_spec(name) is None:
        raise UnavailableError(f"{name} is not installed")
    return importlib.import_module(name)


def _needs_gpu() -> None:
    if not torch.cuda.is_available():
        raise UnavailableError("for GPUs")


EAGER = {"contrastive": eager_contrastive, "squared": eager_squared, "hinge": eager_hinge}
NAMES = {
    "contrastive": [
        "eager", "eager-compiled", "open_clip", "open_clip-compiled", "memeff", "inf-cl",
        "reference", "chunked", "gather", "triton", "triton-gather",
    ],
    "squared": ["eager", "eager-compiled", "reference", "chunked", "triton"],
    "hinge": [
        "eager", "eager-compiled", "reference", "chunked", "gather", "triton", "triton-gather",
    ],
}  # fmt: skip
FUSED = {op: [name for name in names if name.startswith("triton")] for op, names in NAMES.items()}
PEERS = {"open_clip": _open_clip, "memeff": _memeff, "inf-cl": _inf_cl}


def provider(op: str, name: str) -> Loss:
    """The loss that ``name`` computes.

    Raises:
        UnavailableError: it cannot run here.
    """
    base = name.removesuffix("-compiled")
    if base == "eager":
        loss = EAGER[op]
    elif base in PEERS:
        loss = PEERS[base]()
    else:
        loss = ours(op, base)
    return _compiled(loss) if name.endswith("-compiled") else loss
