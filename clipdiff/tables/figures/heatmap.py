"""LLM x loss: a metric's mean as text, its change against the pretrained CLIP as colour."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from clipdiff.tables.figures.style import INK, LOSS_TO_GAIN, QUIET, RC, panels
from clipdiff.tables.scope import FINETUNED
from clipdiff.tables.summary.arms import select
from clipdiff.tasks.base import Measure


def heatmap(summary: pd.DataFrame, measure: Measure, splits: Sequence[str]) -> Figure:
    """Draw one panel a split; a gain that survives Holm's correction is bold."""
    parts = [select(summary, measure, split, FINETUNED) for split in splits]
    cells = [part[part["kind"] != "pretrained"] for part in parts]
    reach = max(float(part["gain"].abs().max()) for part in cells) or 1.0
    rows = cells[0]["llm"].nunique()
    with plt.rc_context(RC):
        figure, axes = panels(len(splits), 4.4, 0.48 * rows + 1.5, sharey=True)
        for ax, split, part, cell in zip(axes, splits, parts, cells, strict=True):
            before = part.loc[part["kind"] == "pretrained", "mean"].iloc[0]
            image = _panel(ax, cell, reach)
            ax.set_title(f"{split}\npretrained {before:.3f}", linespacing=1.5)
        bar = figure.colorbar(image, ax=axes, shrink=0.75, aspect=25, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label("change against pretrained")
        title = f"{measure.title}, finetuned weights (bold: survives Holm; grey names: controls)"
        figure.suptitle(title, x=0.01, ha="left", size=10)
    return figure


def _panel(ax: Axes, cells: pd.DataFrame, reach: float) -> AxesImage:
    llms, losses = list(dict.fromkeys(cells["llm"])), list(dict.fromkeys(cells["loss"]))
    gains = np.full((len(llms), len(losses)), np.nan)
    for cell in cells.to_dict("records"):
        row, column = llms.index(cell["llm"]), losses.index(cell["loss"])
        gains[row, column] = cell["gain"]
        strong = abs(cell["gain"]) > 0.55 * reach
        ax.text(
            column,
            row,
            f"{cell['mean']:.3f}  ({cell['gain']:+.3f})",
            ha="center",
            va="center",
            size=8.5,
            color="#fefefe" if strong else "#1b1f25",  # the same on a dark page
            weight="bold" if cell["survives"] else "normal",
        )
    image = ax.imshow(
        gains, cmap=LOSS_TO_GAIN, norm=TwoSlopeNorm(0.0, -reach, reach), aspect="auto"
    )
    ax.set_xticks(range(len(losses)), losses)
    ax.set_yticks(range(len(llms)), llms)
    ax.spines[:].set_visible(False)
    for edge in np.arange(len(losses) - 1) + 0.5:
        ax.axvline(edge, color="white", lw=2)
    for edge in np.arange(len(llms) - 1) + 0.5:
        ax.axhline(edge, color="white", lw=2)
    grid_rows = cells.loc[cells["kind"] == "cell", "llm"].nunique()
    if 0 < grid_rows < len(llms):
        ax.axhline(grid_rows - 0.5, color=INK, lw=1.2)
        for label in ax.get_yticklabels()[grid_rows:]:
            label.set_color(QUIET)
    return image
