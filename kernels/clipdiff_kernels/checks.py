"""Argument checks of the public ops: a ValueError names the argument, what came and what is right.

Shapes and dtypes are known on the host and are always checked. Values live on the device: looking
at them would wait for it on every step, so they are checked only when the environment variable
``CLIPDIFF_KERNELS_DEBUG`` is 1.
"""

import os

import torch
from torch import Tensor

DEBUG_VARIABLE = "CLIPDIFF_KERNELS_DEBUG"
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
NEGATIVES = ("all", "hardest", "reversed")


def debugging() -> bool:
    """Whether the debug switch is on (values are checked too, at the price of a device sync)."""
    return os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0")


def check_embeds(
    image_embeds: Tensor, pair_index: Tensor, text_embeds: Tensor, row_offset: int | None = None
) -> None:
    """X (M, D) and T, floating, of one width and device, pairs (N, 2) of integers.

    T is (N, D), or with ``row_offset`` a block (n, D) of its rows.
    """
    for name, tensor in (("image_embeds", image_embeds), ("text_embeds", text_embeds)):
        if tensor.ndim != 2 or tensor.shape[1] == 0:
            raise ValueError(f"{name} must be a matrix of embeddings, got shape {_shape(tensor)}")
        if tensor.dtype not in FLOATS:
            raise ValueError(f"{name} must be floating point, got {tensor.dtype}")
    if (image_embeds.dtype == torch.float64) != (text_embeds.dtype == torch.float64):
        raise ValueError(
            "image_embeds and text_embeds must both be float64, or neither, got "
            f"{image_embeds.dtype} and {text_embeds.dtype}; cast one of them"
        )
    if image_embeds.shape[1] != text_embeds.shape[1]:
        raise ValueError(
            "image_embeds and text_embeds must have the same width, got shapes "
            f"{_shape(image_embeds)} and {_shape(text_embeds)}"
        )
    for name, tensor in (("pair_index", pair_index), ("text_embeds", text_embeds)):
        if tensor.device != image_embeds.device:
            raise ValueError(
                f"{name} is on {tensor.device}, image_embeds on {image_embeds.device}; "
                "put both on one device"
            )
    _check_pairs(pair_index, image_embeds)
    _check_rows(pair_index, text_embeds, row_offset)


def check_whole(op: str, pair_index: Tensor, text_embeds: Tensor) -> None:
    """The reference, which keeps whole matrices, computes the block of all rows and no other."""
    if len(text_embeds) != len(pair_index):
        raise ValueError(
            f"backend 'reference' cannot compute a block of rows of {op}: it knows whole batches "
            f"only, got {len(text_embeds)} of {len(pair_index)} texts; take another, or give all"
        )


def check_group_ids(group_ids: Tensor | None, pair_index: Tensor) -> None:
    """Ids (N,), integers, on the device of the pairs."""
    if group_ids is None:
        return
    if group_ids.shape != pair_index.shape[:1]:
        raise ValueError(
            f"group_ids must have shape ({pair_index.shape[0]},) like the rows of pair_index, "
            f"got {_shape(group_ids)}"
        )
    if not _is_integer(group_ids):
        raise ValueError(f"group_ids must be integers, got {group_ids.dtype}")
    if group_ids.device != pair_index.device:
        raise ValueError(f"group_ids is on {group_ids.device}, pair_index on {pair_index.device}")


def check_logit_scale(logit_scale: float | Tensor, like: Tensor) -> None:
    """A positive float, or a floating tensor of shape () or (1,) (its value: debug switch)."""
    if not isinstance(logit_scale, Tensor):
        if not 0 < logit_scale < float("inf"):
            raise ValueError(f"logit_scale must be positive and finite, got {logit_scale}")
        return
    if logit_scale.shape not in ((), (1,)) or logit_scale.dtype not in FLOATS:
        raise ValueError(
            "logit_scale must be a float or a floating tensor of shape () or (1,), got "
            f"shape {_shape(logit_scale)}, {logit_scale.dtype}"
        )
    if logit_scale.device != like.device:
        raise ValueError(f"logit_scale is on {logit_scale.device}, image_embeds on {like.device}")
    if debugging() and not 0 < logit_scale.item() < float("inf"):
        raise ValueError(f"logit_scale must be positive and finite, got {logit_scale.item()}")


def check_eps(eps: float) -> None:
    """A positive length below which a difference has no direction."""
    if not 0 < eps < float("inf"):
        raise ValueError(f"eps must be positive and finite, got {eps}")


def check_hinge(margin: float, negatives: str) -> None:
    """A finite margin >= 0 and a known choice of negatives."""
    if not 0 <= margin < float("inf"):
        raise ValueError(f"margin must be at least 0 and finite, got {margin}")
    if negatives not in NEGATIVES:
        raise ValueError(f"negatives must be one of {', '.join(NEGATIVES)}, got {negatives!r}")


def _check_pairs(pair_index: Tensor, image_embeds: Tensor) -> None:
    if pair_index.ndim != 2 or pair_index.shape[1] != 2 or pair_index.shape[0] == 0:
        raise ValueError(f"pair_index must have shape (N, 2), N >= 1, got {_shape(pair_index)}")
    if not _is_integer(pair_index):
        raise ValueError(f"pair_index must hold integers, got {pair_index.dtype}")
    if not debugging():
        return
    low, high = pair_index.min().item(), pair_index.max().item()
    if low < 0 or high >= image_embeds.shape[0]:
        raise ValueError(
            f"pair_index holds {low} to {high}, but image_embeds of shape {_shape(image_embeds)} "
            f"has rows 0 to {image_embeds.shape[0] - 1}"
        )


def _check_rows(pair_index: Tensor, text_embeds: Tensor, row_offset: int | None) -> None:
    num_pairs, num_rows = len(pair_index), len(text_embeds)
    if row_offset is None and num_pairs != num_rows:
        raise ValueError(
            "pair_index and text_embeds must have one row a pair, got shapes "
            f"{_shape(pair_index)} and {_shape(text_embeds)}"
        )
    if row_offset is not None and not 0 <= row_offset <= num_pairs - num_rows:
        raise ValueError(
            f"row_offset {row_offset} with text_embeds of shape {_shape(text_embeds)} does not fit "
            f"pair_index of shape {_shape(pair_index)}"
        )


def _is_integer(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
