"""How much of the spread between runs each axis of the grid explains."""

import numpy as np


def variance_shares(values: np.ndarray) -> dict[str, float]:
    """Split the variance of a balanced grid: eta squared of a two-way analysis of variance.

    Args:
        values: (A, B, S) float64: two axes, and S seeds a cell.

    Returns:
        Shares of ``first``, ``second``, ``interaction`` and ``seeds``, which sum to 1; all 0 where
        nothing varies.
    """
    mean = values.mean()
    first = values.mean((1, 2)) - mean  # (A,)
    second = values.mean((0, 2)) - mean  # (B,)
    cells = values.mean(2)  # (A, B)
    interaction = cells - mean - first[:, None] - second[None]
    count = values[0, 0].size
    squares = {
        "first": (first**2).sum() * values[0].size,
        "second": (second**2).sum() * values[:, 0].size,
        "interaction": (interaction**2).sum() * count,
        "seeds": ((values - cells[..., None]) ** 2).sum(),
    }
    total = sum(squares.values())
    return {name: float(square / total) if total > 0 else 0.0 for name, square in squares.items()}
