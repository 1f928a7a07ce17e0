"""What a gain in differences costs in zero-shot accuracy, with and without averaged weights."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clipdiff.tables.figures.style import (
    INK,
    PER_ROW,
    QUIET,
    RC,
    legend_columns,
    markers,
    palette,
    panels,
)
from clipdiff.tables.scope import DIFFERENCE, FINETUNED, ZERO_SHOT
from clipdiff.tables.summary.arms import select


def tradeoff(summary: pd.DataFrame, splits: Sequence[str]) -> Figure:
    """Draw one panel a split: a line leads from averaged (hollow) to finetuned (filled) weights."""
    grid = summary[summary["kind"] == "cell"]
    llms, losses = list(dict.fromkeys(grid["llm"])), list(dict.fromkeys(grid["loss"]))
    with plt.rc_context(RC):
        figure, axes = panels(len(splits), 4.4, 4.2, sharey=True, sharex=True)
        for ax, split in zip(axes, splits, strict=True):
            _panel(ax, grid, split, palette(losses), markers(llms))
            ax.set_title(split)
            ax.set_xlabel("change in zero-shot acc1")
        for ax in axes[::PER_ROW]:
            ax.set_ylabel("gain in difference accuracy")
        handles = _legend(palette(losses), markers(llms))
        ncols = legend_columns([str(h.get_label()) for h in handles], figure.get_figwidth())
        figure.legend(handles=handles, loc="outside upper left", ncols=ncols, fontsize=8)
    return figure


def _panel(
    ax: Axes, grid: pd.DataFrame, split: str, colours: dict[str, str], shapes: dict[str, str]
) -> None:
    names, zero_shot = ["llm", "loss", "weights"], grid["task"] == ZERO_SHOT.task
    changes = grid[(grid["split"] == split) & zero_shot].set_index(names)["gain"].to_dict()
    weights = sorted(grid["weights"].unique(), key=lambda name: name == FINETUNED)
    gains = pd.concat([select(grid, DIFFERENCE, split, name) for name in weights])
    for arm, rows in gains.groupby(["llm", "loss"], sort=False):
        llm, loss = map(str, arm)
        points = [
            (float(changes[llm, loss, name]), float(gain))
            for name, gain in zip(rows["weights"], rows["gain"], strict=True)
        ]
        ax.plot(*zip(*points, strict=True), color=colours[loss], lw=0.8, alpha=0.5, zorder=1)
        for point, name in zip(points, rows["weights"], strict=True):
            face = colours[loss] if name == FINETUNED else "white"
            ax.plot(*point, shapes[llm], color=colours[loss], mfc=face, ms=6, mew=1.2)
    ax.axhline(0, color=INK, lw=0.8)
    ax.axvline(0, color=INK, lw=0.8)
    ax.annotate("pretrained", (0, 0), (4, 4), textcoords="offset points", color=QUIET, size=7.5)
    ax.margins(0.12)
    ax.grid()


def _legend(colours: dict[str, str], shapes: dict[str, str]) -> list[Line2D]:
    losses = [Line2D([], [], color=colour, lw=3, label=loss) for loss, colour in colours.items()]
    llms = [
        Line2D([], [], color=QUIET, marker=shape, lw=0, ms=6, label=llm)
        for llm, shape in shapes.items()
    ]
    hollow = Line2D([], [], color=QUIET, marker="o", mfc="white", lw=0, ms=6,
                    label="hollow: averaged weights")  # fmt: skip
    return [*losses, *llms, hollow]
