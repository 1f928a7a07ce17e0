"""Does a loss compute what it says, with its gradient, and over several ranks?"""

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from clipdiff.losses.base import BlockLoss, BoundedLoss, LossEntry
from clipdiff.testing.entry_checks import check_entry
from clipdiff.train.ranks import share_sizes

IMAGES, PAIRS, WIDTH, RANKS = 5, 7, 4, 2
STEP = 1e-6  # of the finite differences, in float64
GRADIENT = 1e-5  # how far a gradient may be off, of its size
ROUNDING = 1e-4  # how far float32 may be off float64
EXACT = 1e-9  # how far float64 may be off itself, in another order


@dataclass(frozen=True)
class LossBatch:
    """A batch as training makes it; two texts are equal, and belong to one group."""

    image_embeds: Tensor  # (M, D)
    pair_index: Tensor  # (N, 2) int64
    text_embeds: Tensor  # (N, D)
    group_ids: Tensor | None  # (N,) int64


def check_loss(entry: LossEntry, seed: int = 0) -> None:
    """Check a loss on a small random batch, on the CPU.

    Its module is called in float64 as well as in float32. Gradients are compared with finite
    differences; with a loss that has ``rows``, so is the sum over two ranks with the whole.

    Args:
        entry: with the settings to check.
        seed: of the batch; another one may help a loss that has a kink just there.

    Raises:
        AssertionError: says what does not hold.
    """
    check_entry(entry)
    assert entry.describe().strip(), "describe() is empty; the report shows it"
    assert entry.own_lr is None or entry.own_lr > 0, f"own_lr is {entry.own_lr}, not positive"
    batch = _batch(seed, entry.groups_texts)
    module = entry.module()
    assert isinstance(module, nn.Module), f"module() returns {type(module)}, no torch.nn.Module"
    _check_values(module, batch)
    _check_equal_images(module, batch)
    _check_order(module.double(), batch)
    _check_gradients(module, batch)
    _check_precision(entry, batch)
    if isinstance(module, BlockLoss):
        _check_ranks(module, batch)
    if isinstance(module, BoundedLoss):
        _check_bounds(module, batch)


def _batch(seed: int, grouped: bool) -> LossBatch:
    generator = torch.Generator().manual_seed(seed)
    images, texts = (
        normalize(torch.randn(count, WIDTH, generator=generator, dtype=torch.float64), dim=1)
        for count in (IMAGES, PAIRS)
    )
    texts[-1] = texts[0]
    pairs = torch.rand(PAIRS, IMAGES, generator=generator).argsort(1)[:, :2].contiguous()
    groups = torch.arange(PAIRS) % (PAIRS - 1)
    return LossBatch(images, pairs, texts, groups if grouped else None)


def _loss(module: nn.Module, batch: LossBatch) -> Tensor:
    value: Tensor
    value, _ = module(batch.image_embeds, batch.pair_index, batch.text_embeds, batch.group_ids)
    return value


@torch.no_grad()
def _value(module: nn.Module, batch: LossBatch) -> float:
    return float(_loss(module, batch))


def _cast(batch: LossBatch, dtype: torch.dtype) -> LossBatch:
    images, texts = batch.image_embeds.to(dtype), batch.text_embeds.to(dtype)
    return LossBatch(images, batch.pair_index, texts, batch.group_ids)


def _check_values(module: nn.Module, batch: LossBatch) -> None:
    single = _cast(batch, torch.float32)
    answer = module(single.image_embeds, single.pair_index, single.text_embeds, single.group_ids)
    assert isinstance(answer, tuple), "the module returns no (loss, clipdiff_kernels.Stats)"
    value, stats = answer
    assert value.shape == (), f"the loss has shape {tuple(value.shape)}, it has to be a scalar"
    assert value.isfinite(), f"the loss of a random batch is {value.item()}"
    for name in ("mean_cosine", "mean_norm"):
        each = getattr(stats, name, None)
        assert isinstance(each, Tensor), f"the module's statistics have no tensor {name}"
        assert each.isfinite().all(), f"the statistic {name} is {each}"
        assert not each.requires_grad, f"the statistic {name} carries a gradient; detach it"


def _check_equal_images(module: nn.Module, batch: LossBatch) -> None:
    """A pair of equal embeddings has no direction; it must not spoil the others."""
    single = _copy(_cast(batch, torch.float32))
    first, second = batch.pair_index[0].tolist()
    single.image_embeds[second] = single.image_embeds[first]
    leaves = _leaves(module, single)
    value = _loss(module, single)
    assert value.isfinite(), f"with a pair of equal images the loss is {value.item()}"
    for name, grad in _gradients(value, leaves).items():
        assert grad.isfinite().all(), (
            f"with a pair of equal images the gradient to {name} is not finite"
        )


def _check_order(module: nn.Module, batch: LossBatch) -> None:
    back = torch.arange(PAIRS - 1, -1, -1)
    groups = None if batch.group_ids is None else batch.group_ids[back]
    turned = LossBatch(batch.image_embeds, batch.pair_index[back], batch.text_embeds[back], groups)
    once, again, other = (_value(module, each) for each in (batch, batch, turned))
    assert once == again, f"the same batch gives {once} and then {again}"
    assert _near(once, other, EXACT), (
        f"the loss depends on the order of the pairs: {once}, and {other} in the reverse order"
    )


def _leaves(module: nn.Module, batch: LossBatch) -> dict[str, Tensor]:
    """Return the tensors that gradients are taken of, by name."""
    parameters = {name: each for name, each in module.named_parameters() if each.requires_grad}
    embeds = {"image_embeds": batch.image_embeds, "text_embeds": batch.text_embeds}
    return {name: each.requires_grad_() for name, each in embeds.items()} | parameters


def _gradients(value: Tensor, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    grads = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
    return {
        name: torch.zeros_like(leaf) if grad is None else grad
        for (name, leaf), grad in zip(leaves.items(), grads, strict=True)
    }


def _check_gradients(module: nn.Module, batch: LossBatch) -> None:
    batch = _copy(batch)
    leaves = _leaves(module, batch)
    gradients = _gradients(_loss(module, batch), leaves)
    for name, leaf in leaves.items():
        numeric = _finite_differences(lambda: _loss(module, batch), leaf)
        apart = float((gradients[name] - numeric).norm())
        assert apart <= GRADIENT * (1 + float(numeric.norm())), (
            f"the gradient to {name} is {apart:.2g} away from finite differences, whose norm is "
            f"{float(numeric.norm()):.2g}"
        )


@torch.no_grad()
def _finite_differences(loss: Callable[[], Tensor], leaf: Tensor) -> Tensor:
    """Return the gradient to a leaf by central differences, an entry at a time."""
    numeric = torch.zeros_like(leaf)
    for place in range(leaf.numel()):
        entry = leaf.view(-1)[place]
        before = float(entry)
        values = []
        for moved in (before + STEP, before - STEP):
            leaf.view(-1)[place] = moved
            values.append(float(loss()))
        leaf.view(-1)[place] = before
        numeric.view(-1)[place] = (values[0] - values[1]) / (2 * STEP)
    return numeric


def _check_precision(entry: LossEntry, batch: LossBatch) -> None:
    double = _value(entry.module().double(), batch)
    single = _value(entry.module(), _cast(batch, torch.float32))
    assert _near(single, double, ROUNDING), f"the loss is {single} in float32, {double} in float64"


class _Meeting:
    """An all-reduce between the threads of one process."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(RANKS, timeout=60)
        self.tensors: list[Tensor] = [torch.empty(0)] * RANKS

    def all_reduce(self, rank: int) -> Callable[[Tensor, str], Tensor]:
        """Return the all-reduce of one rank."""

        def reduce(tensor: Tensor, op: str) -> Tensor:
            self.tensors[rank] = tensor.detach().clone()
            self.barrier.wait()
            stack = torch.stack(self.tensors)
            self.barrier.wait()
            with torch.no_grad():
                tensor.copy_(stack.sum(0) if op == "sum" else stack.amax(0))
            return tensor

        return reduce


def _check_ranks(module: nn.Module, batch: LossBatch) -> None:
    whole = _copy(batch)
    leaves = _leaves(module, whole)
    value = _loss(module, whole)
    expected, value = _gradients(value, leaves), value.detach()
    meeting = _Meeting()
    with ThreadPoolExecutor(RANKS) as pool:
        parts = list(pool.map(lambda rank: _of_rank(module, batch, rank, meeting), range(RANKS)))
    for rank, (loss, _) in enumerate(parts):
        assert _near(loss, float(value), EXACT), (
            f"rows() gives the loss {loss} on rank {rank} of {RANKS}; that of the whole batch is "
            f"{float(value)}"
        )
    for name in expected:
        grads = [gradients[name] for _, gradients in parts]
        total = torch.cat(grads) if name == "text_embeds" else torch.stack(grads).sum(0)
        apart = float((total - expected[name]).norm())
        assert apart <= EXACT * (1 + float(expected[name].norm())), (
            f"the gradients to {name} of {RANKS} ranks make no whole; they are {apart:.2g} away"
        )


def _of_rank(
    module: nn.Module, batch: LossBatch, rank: int, meeting: _Meeting
) -> tuple[float, dict[str, Tensor]]:
    """Return what one rank computes from its rows: the loss, and its part of the gradients."""
    assert isinstance(module, BlockLoss)
    sizes = share_sizes(PAIRS, RANKS)
    start = sum(sizes[:rank])
    texts = batch.text_embeds[start : start + sizes[rank]].clone()
    own = LossBatch(batch.image_embeds.clone(), batch.pair_index, texts, batch.group_ids)
    leaves = _leaves(module, own)
    value, _ = module.rows(
        *(own.image_embeds, own.pair_index, own.text_embeds, own.group_ids),
        row_offset=start,
        all_reduce=meeting.all_reduce(rank),
    )
    return float(value.detach()), _gradients(value, leaves)


def _check_bounds(module: nn.Module, batch: LossBatch) -> None:
    """Whatever a step did to the loss's own parameters, clamp_ makes them usable again."""
    assert isinstance(module, BoundedLoss)
    for far in (-1e6, 1e6):
        for parameter in module.parameters():
            if parameter.requires_grad:
                torch.nn.init.constant_(parameter, far)
        module.clamp_()
        value = _value(module, batch)
        assert math.isfinite(value), f"after a step to {far:g} and clamp_() the loss is {value}"


def _copy(batch: LossBatch) -> LossBatch:
    return LossBatch(
        *(batch.image_embeds.clone(), batch.pair_index, batch.text_embeds.clone(), batch.group_ids)
    )


def _near(value: float, other: float, share: float) -> bool:
    return abs(value - other) <= share * (1 + abs(other))
