"""Batches for the kernels' tests, and their losses and gradients as plain lists."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from clipdiff_kernels.differences import EPS
from torch import Tensor
from torch.nn.functional import normalize

sys.path.insert(0, str(Path(__file__).parent))  # fused_checks.py; importlib mode adds no path
pytest.register_assert_rewrite("fused_checks")


@dataclass(frozen=True)
class Batch:
    """Unit embeddings of M images and N texts, and N pairs of distinct images."""

    image_embeds: Tensor
    pair_index: Tensor
    text_embeds: Tensor
    group_ids: Tensor

    def to(self, dtype: torch.dtype, device: str | None = None) -> "Batch":
        return replace(
            self,
            image_embeds=self.image_embeds.to(device, dtype),
            text_embeds=self.text_embeds.to(device, dtype),
            pair_index=self.pair_index.to(device),
            group_ids=self.group_ids.to(device),
        )


@dataclass(frozen=True)
class Result:
    """A loss and its gradients in float64; ``scale`` is None where the op has no logit_scale."""

    loss: Tensor
    text: Tensor
    images: Tensor | None
    scale: Tensor | None
    closest: float
    """Shortest difference that has a direction: the images' gradient goes as 1 over it."""


def _make_batch(
    num_pairs: int, num_images: int, width: int, *, seed: int = 0, shortest: float | None = None
) -> Batch:
    """Random float64 batch; with ``shortest`` the first pairs join images that far apart."""
    random = torch.Generator().manual_seed(seed)
    images = normalize(torch.randn(num_images, width, generator=random, dtype=torch.float64), dim=1)
    if shortest is not None:
        step = normalize(torch.randn(width, generator=random, dtype=torch.float64), dim=0)
        images[1] = images[0] + shortest * step
    first = torch.randint(num_images, (num_pairs,), generator=random)
    other = torch.randint(1, num_images, (num_pairs,), generator=random)
    pairs = torch.stack([first, (first + other) % num_images], 1)
    if shortest is not None:
        pairs[: max(1, num_pairs // 5)] = torch.tensor([0, 1])
    text = normalize(torch.randn(num_pairs, width, generator=random, dtype=torch.float64), dim=1)
    groups = torch.randint(max(2, num_pairs // 3), (num_pairs,), generator=random)
    return Batch(images, pairs, text, groups)


def _differentiate(
    op: Callable[..., Tensor],
    batch: Batch,
    *scale: float,
    upstream: float = 1.0,
    image_grad: bool = True,
    **settings: object,
) -> Result:
    """The loss of ``op`` and the gradients of ``upstream`` times it."""
    images = batch.image_embeds.clone().requires_grad_(image_grad)
    text = batch.text_embeds.clone().requires_grad_()
    wide = {"dtype": torch.float64, "device": text.device, "requires_grad": True}
    scales = [torch.tensor([s], **wide) for s in scale]
    loss = op(images, batch.pair_index, text, *scales, **settings)
    (upstream * loss).backward()
    return Result(
        loss.detach().double(),
        text.grad.double(),
        images.grad.double() if image_grad else None,
        scales[0].grad if scales else None,
        _closest(batch),
    )


def _closest(batch: Batch) -> float:
    first, second = batch.pair_index.long().T
    lengths = (batch.image_embeds[first] - batch.image_embeds[second]).double().norm(dim=1)
    return min([1.0, *lengths[lengths > EPS].tolist()])


def _assert_close(
    got: Result, want: Result, *, loss: float, grad: float, size: float = 1.0
) -> None:
    """Relative errors of the loss and, norm-wise, of each gradient.

    Near 0, errors are measured against a hundredth of what they usually are: ``size``, that of the
    logits, and for the images the steepness 1 / n_k besides.
    """
    tolerances = {"loss": loss, "text": grad, "images": grad, "scale": grad}
    for name, tolerance in tolerances.items():
        ours, theirs = getattr(got, name), getattr(want, name)
        if ours is None or theirs is None:
            continue
        error = torch.linalg.vector_norm(ours - theirs)
        usual = size / want.closest if name == "images" else size
        allowed = tolerance * (torch.linalg.vector_norm(theirs) + 1e-2 * usual)
        assert error <= allowed, f"{name}: error {error:.2e}, allowed {allowed:.2e}"


@pytest.fixture
def poisoned() -> Iterator[None]:
    """Uninitialised memory is NaN: whatever is read before it is written shows."""
    torch.use_deterministic_algorithms(True)  # fill_uninitialized_memory is on by default
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh memory is NaN: a kernel that leaves a hole in its output shows it."""

    def poisoned(make):
        def made(*args, **kwargs):
            out = make(*args, **kwargs)
            return out.fill_(torch.nan) if out.is_floating_point() else out.fill_(1 << 30)

        return made

    monkeypatch.setattr(torch.Tensor, "new_empty", poisoned(torch.Tensor.new_empty))
    monkeypatch.setattr(torch, "empty_like", poisoned(torch.empty_like))


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., Batch]:
    return _make_batch


@pytest.fixture(scope="session")
def differentiate() -> Callable[..., Result]:
    return _differentiate


@pytest.fixture(scope="session")
def assert_close() -> Callable[..., None]:
    return _assert_close
