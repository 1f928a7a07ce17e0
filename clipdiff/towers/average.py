"""Averaging the weights of a pretrained and a finetuned model."""

from torch import Tensor

State = dict[str, Tensor]


def average_weights(pretrained: State, finetuned: State, alpha: float) -> State:
    """Return ``(1 - alpha) * pretrained + alpha * finetuned`` (WiSE-FT, Wortsman 2022, eq. 1).

    Args:
        pretrained, finetuned: states with the same names and shapes.
        alpha: share of the finetuned weights, 0 to 1; at the ends the weights are exact.

    Returns:
        A new state on the devices of ``pretrained``; counters, which are whole numbers, are the
        finetuned model's unless alpha is 0.
    """
    if alpha == 0:
        return dict(pretrained)
    tuned = {name: finetuned[name].to(value.device) for name, value in pretrained.items()}
    if alpha == 1:
        return tuned
    return {
        name: value.lerp(tuned[name], alpha) if value.is_floating_point() else tuned[name]
        for name, value in pretrained.items()
    }
