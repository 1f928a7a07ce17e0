"""Losses for someone else's trainer."""

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from clipdiff.errors import ConfigError, did_you_mean
from clipdiff.losses.base import LOSSES

if TYPE_CHECKING:
    from torch import nn


def make_loss(kind: str, **settings: Any) -> "nn.Module":
    """Return a loss between texts and image differences as a module.

    ``loss, stats = module(image_embeds, pair_index, text_embeds, group_ids)``, where ``loss`` is a
    scalar with gradients, the mean over pairs. Where a module has ``clamp_()``, call it after every
    step of the optimizer.

    Args:
        kind: such as ``hinge``: a kind of ``loss_definitions``, or ``package.module:Class``.
        settings: keys of such an entry, such as ``margin=0.3``; the others are the defaults.

    Raises:
        ConfigError: there is no such kind or key (the nearest is named), a value is not allowed, or
            the class defines no module.
    """
    if not isinstance(kind, str):
        raise ConfigError(f"make_loss: got {kind!r}; expected one of {', '.join(LOSSES.kinds)}")
    if "train" in settings:
        raise ConfigError(f"make_loss('{kind}'): train has no effect on a module; remove it")
    try:
        return LOSSES.make({"kind": kind, **settings}).module()
    except NotImplementedError as error:
        raise ConfigError(f"make_loss('{kind}'): {error}; name a LossEntry that does") from error
    except ValidationError as error:
        allowed = sorted(LOSSES.of(kind).model_fields.keys() - {"kind", "train"})
        faults = "; ".join(_fault(item, allowed) for item in error.errors())
        raise ConfigError(f"make_loss('{kind}'): {faults}") from error


def _fault(item: Any, allowed: list[str]) -> str:
    key = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden":
        return f"unknown key '{key}'{did_you_mean(key, allowed)}; allowed: {', '.join(allowed)}"
    where = f"{key}: got {item['input']!r}: " if key else ""
    return where + item["msg"].removeprefix("Value error, ")
