"""The learning rate, as a function of the step alone, so that a resumed run needs no state."""

import math

from clipdiff.settings import Train


def learning_rate(train: Train, step: int, steps: int, epoch: int) -> float:
    """Return the learning rate of a step.

    It rises linearly over ``train.warmup`` of the steps, and falls from the end of the warm-up:
    by half a cosine to 0, by ``gamma`` each whole epoch, or not at all.

    Args:
        train: schedule, peak rate, gamma and warm-up.
        step: counted from 0, of ``steps`` in all.
        epoch: the step's, from 0.
    """
    warm = round(train.warmup * steps)
    if step < warm:
        return train.lr * (step + 1) / (warm + 1)
    if train.schedule == "cosine":
        return train.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
    if train.schedule == "exponential":
        return train.lr * train.gamma**epoch
    return train.lr
