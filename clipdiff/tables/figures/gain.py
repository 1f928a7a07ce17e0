"""Gain in difference accuracy over the pretrained CLIP, with intervals: a forest plot."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clipdiff.tables.figures.style import INK, QUIET, RC, legend_columns, markers, palette, panels
from clipdiff.tables.scope import DIFFERENCE, FINETUNED
from clipdiff.tables.summary.arms import select


def gain_plot(summary: pd.DataFrame, splits: Sequence[str], percent: str) -> Figure:
    """Draw one panel a split, rows grouped by LLM; hollow marks do not survive Holm."""
    parts = [select(summary, DIFFERENCE, split, FINETUNED) for split in splits]
    parts = [part[part["kind"] != "pretrained"] for part in parts]
    losses = list(dict.fromkeys(parts[0]["loss"]))
    llms = parts[0]["llm"].nunique()
    height = 0.2 * len(parts[0]) + 0.12 * llms + 1.3
    with plt.rc_context(RC):
        figure, axes = panels(len(splits), 4.4, height, sharey=True, sharex=True)
        for ax, split, part in zip(axes, splits, parts, strict=True):
            _panel(ax, part, losses)
            ax.set_title(split)
            ax.set_xlabel(f"gain in difference accuracy ({percent} % interval)")
        handles = _legend(losses)
        ncols = legend_columns([str(h.get_label()) for h in handles], figure.get_figwidth())
        figure.legend(handles=handles, loc="outside upper left", ncols=ncols, fontsize=8)
    return figure


def _panel(ax: Axes, part: pd.DataFrame, losses: Sequence[str]) -> None:
    colours, shapes = palette(losses), markers(losses)
    place, ticks = 0.0, {}
    for llm, rows in part.groupby("llm", sort=False):
        start = place
        for row in rows.to_dict("records"):
            colour, shape = colours[row["loss"]], shapes[row["loss"]]
            ax.plot([row["gain_low"], row["gain_high"]], [place] * 2, color=colour, lw=1.6)
            face = colour if row["survives"] else "white"
            ax.plot(row["gain"], place, shape, ms=5, color=colour, mfc=face, mew=1.2)
            place += 1
        ticks[str(llm)] = (start + place - 1) / 2
        if rows["kind"].iloc[0] == "control":
            ax.axhspan(start - 0.8, place - 0.2, color=QUIET, alpha=0.09, lw=0)
        place += 0.6
    ax.axvline(0, color=INK, lw=0.9)
    ax.set_yticks(list(ticks.values()), list(ticks))
    ax.set_ylim(place - 0.6, -0.9)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")


def _legend(losses: Sequence[str]) -> list[Line2D]:
    colours, shapes = palette(losses), markers(losses)
    marks = [
        Line2D([], [], color=colours[loss], marker=shapes[loss], ms=5, lw=1.6, label=loss)
        for loss in losses
    ]
    hollow = Line2D([], [], color=QUIET, marker="o", mfc="white", ms=5, lw=0,
                    label="hollow: does not survive Holm")  # fmt: skip
    return [*marks, hollow]
