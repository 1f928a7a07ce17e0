"""Example pairs: two images, how they differ, and the score of that text before and after."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clipdiff.tables.figures.style import COLOURS, INK, QUIET, RC
from clipdiff.tables.reading.examples import ScoredPair, decode

COLUMNS = 2


def example_pairs(pairs: Sequence[ScoredPair], cell: str) -> Figure:
    """Draw the pairs in two columns; a bar right of zero is right."""
    rows = -(-len(pairs) // COLUMNS)
    reach = 1.15 * max(max(abs(pair.before), abs(pair.after)) for pair in pairs)
    with plt.rc_context(RC):
        figure, axes = plt.subplots(
            rows,
            3 * COLUMNS,
            figsize=(5.0 * COLUMNS, 1.62 * rows + 0.4),
            squeeze=False,
            width_ratios=[1, 1, 1.9] * COLUMNS,
        )
        for place, parts in enumerate(axes.reshape(rows * COLUMNS, 3)):
            if place >= len(pairs):
                for ax in parts:
                    ax.set_axis_off()
                continue
            pair = pairs[place]
            for ax, image, value in zip(
                parts, (pair.first, pair.second), pair.values, strict=False
            ):
                ax.imshow(decode(image))
                ax.set_title(value, size=7.5, weight="normal", loc="center", pad=3)
                ax.set_axis_off()
            _scores(parts[2], pair, reach)
        figure.suptitle(
            f"True difference texts of held-out pairs: score before and after ({cell})",
            x=0.01, ha="left", size=11,
        )  # fmt: skip
    return figure


def _scores(ax: Axes, pair: ScoredPair, reach: float) -> None:
    for place, (name, score) in enumerate((("before", pair.before), ("after", pair.after))):
        ax.barh(place, score, color=COLOURS[0] if score > 0 else COLOURS[1], height=0.55)
        ax.annotate(
            f"{score:+.3f}", (score, place), (3 if score > 0 else -3, 0), va="center", size=8,
            textcoords="offset points", ha="left" if score > 0 else "right",
        )  # fmt: skip
        ax.text(-2.4 * reach, place, name, va="center", size=8, color=INK)
    ax.axvline(0, color=QUIET, lw=0.8)
    ax.set_xlim(-2.4 * reach, 1.5 * reach)
    ax.set_ylim(1.6, -0.6)
    ax.set_title(pair.attribute, size=8.5, loc="left", pad=3)
    ax.set_axis_off()
