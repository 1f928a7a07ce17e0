"""How all figures look, and how they are written: the same bytes for the same numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from clipdiff.files import written_whole

INK = "#1b1f24"  # the report turns this colour into that of its text, for dark pages
QUIET = "#7a828c"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe-Ito
PER_ROW = 3  # panels of a figure side by side
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
LOSS_TO_GAIN = LinearSegmentedColormap.from_list(
    "loss_to_gain", ["#a8480b", "#eba36b", "#f4f1ec", "#7fb2d9", "#0b5a95"]
)
RC: Any = {
    "svg.hashsalt": "clipdiff",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.7,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "grid.color": QUIET,
    "grid.alpha": 0.22,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


def panels(
    count: int, width: float, height: float, per_row: int = PER_ROW, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``count`` panels, each ``width`` x ``height`` inches, row by row."""
    columns = min(count, per_row)
    rows = -(-count // columns)
    with plt.rc_context(RC):
        figure, axes = plt.subplots(
            rows, columns, figsize=(width * columns, height * rows), squeeze=False, **options
        )
    for unused in axes.ravel()[count:]:
        unused.set_axis_off()
    return figure, list(axes.ravel()[:count])


def legend_columns(labels: Sequence[str], inches: float) -> int:
    """Return how many columns of a legend of 8 points fit into a figure of this width."""
    room, mark = 14.5 * inches, 5  # in letters
    if sum(map(len, labels)) + mark * len(labels) <= room:
        return len(labels)
    return max(1, int(room // (max(map(len, labels)) + mark)))


def palette(names: Sequence[str]) -> dict[str, str]:
    """Return a colour a name; they repeat after six."""
    return {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}


def markers(names: Sequence[str]) -> dict[str, str]:
    """Return a marker a name."""
    return {name: MARKERS[place % len(MARKERS)] for place, name in enumerate(names)}


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write ``name.svg`` (no background) and ``name.png`` (white, 160 dpi), without dates."""
    with plt.rc_context(RC):
        with written_whole(folder / f"{name}.svg") as scratch:
            figure.savefig(scratch, format="svg", metadata={"Date": None, "Creator": None})
        with written_whole(folder / f"{name}.png") as scratch:
            figure.savefig(
                scratch, format="png", dpi=160, facecolor="white", metadata={"Software": None}
            )
    plt.close(figure)
