"""Bytes kept for backward, and the peak while the ops run: O(N) beside inputs and outputs."""

import weakref

import pytest
import torch
from clipdiff_kernels import contrastive_loss, hinge_loss, squared_loss
from clipdiff_kernels.tiled.direct import DirectSimilarity
from clipdiff_kernels.tiled.gather import GatherSimilarity
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

NUM_PAIRS, NUM_IMAGES, WIDTH = 2048, 200, 16
INPUTS = 4 * (NUM_PAIRS + NUM_IMAGES) * WIDTH + 8 * 2 * NUM_PAIRS
SQUARE = 4 * NUM_PAIRS**2
TILE = SQUARE // 64

CASES = [
    (contrastive_loss, {"logit_scale": 10.0}, "chunked"),
    (contrastive_loss, {"logit_scale": 100.0}, "chunked"),
    (contrastive_loss, {"logit_scale": 10.0}, "gather"),
    (hinge_loss, {}, "chunked"),
    (hinge_loss, {}, "gather"),
    (hinge_loss, {"negatives": "hardest"}, "chunked"),
    (hinge_loss, {"negatives": "reversed"}, "chunked"),
    (squared_loss, {}, "chunked"),
    (squared_loss, {"normalize": True}, "chunked"),
]
NAMES = ["-".join(map(str, (op.__name__, *k.values(), b))) for op, k, b in CASES]
every_case = pytest.mark.parametrize(("op", "settings", "backend"), CASES, ids=NAMES)


class PeakBytes(TorchDispatchMode):
    """Largest number of bytes alive at once in tensors that were made under this mode."""

    def __init__(self):
        super().__init__()
        self.alive = self.peak = 0
        self._seen = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        before = {t.untyped_storage().data_ptr() for t in _tensors((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        for tensor in _tensors(out):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in before and storage not in self._seen:
                self._seen.add(storage)
                self._count(storage.nbytes())
                weakref.finalize(storage, self._count, -storage.nbytes())
        return out

    def _count(self, nbytes: int) -> None:
        self.alive += nbytes
        self.peak = max(self.peak, self.alive)


def _tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


@pytest.fixture(scope="module")
def batch(make_batch):
    return make_batch(NUM_PAIRS, NUM_IMAGES, WIDTH).to(torch.float32)


def test_the_meter_sees_the_square(batch):
    """The reference does make the N x N matrix, and the meter must say so."""
    text = batch.text_embeds.clone().requires_grad_()
    with PeakBytes() as meter:
        contrastive_loss(
            batch.image_embeds, batch.pair_index, text, 10.0, backend="reference"
        ).backward()
    assert meter.peak > 2 * SQUARE


@every_case
@pytest.mark.parametrize("image_grad", [False, True])
def test_peak_is_a_few_tiles(monkeypatch, batch, op, settings, backend, image_grad):
    monkeypatch.setattr(DirectSimilarity, "tile_elements", TILE // 4)
    monkeypatch.setattr(GatherSimilarity, "tile_elements", TILE // 4)
    images = batch.image_embeds.clone().requires_grad_(image_grad)
    text = batch.text_embeds.clone().requires_grad_()
    with PeakBytes() as meter:
        loss = op(images, batch.pair_index, text, backend=backend, **settings)
        loss.backward()
    assert 0 < meter.peak < 5 * TILE + 5 * INPUTS


@every_case
@pytest.mark.parametrize("image_grad", [False, True])
def test_bytes_saved_for_backward(batch, op, settings, backend, image_grad):
    """Beside the inputs two N-vectors, or the gradients: never a chunk of the matrix."""
    saved = {}

    def count(tensor):
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    images = batch.image_embeds.clone().requires_grad_(image_grad)
    text = batch.text_embeds.clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        loss = op(images, batch.pair_index, text, backend=backend, **settings)
    for tensor in (images, batch.pair_index, text):  # alive anyway
        saved.pop(tensor.untyped_storage().data_ptr(), None)
    loss.backward()
    assert 0 < sum(saved.values()) <= INPUTS + 8 * NUM_PAIRS + 64
