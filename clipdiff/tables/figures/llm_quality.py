"""What each LLM wrote: five measures of its texts, side by side."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from clipdiff.grid import Row
from clipdiff.tables.figures.style import COLOURS, QUIET, RC, panels

COLUMNS = {
    "kept_share": ("kept by the filter", ".2f"),
    "true_share": ("true, of those checked", ".2f"),
    "direction_accuracy": ("right way round", ".2f"),
    "distinct_2": ("distinct word pairs", ".3f"),
    "mean_words": ("words a text", ".0f"),
}


def text_quality(texts: pd.DataFrame) -> Figure:
    """Draw one panel a measure, one bar a row of ``tables/llms.csv``; controls are grey."""
    names = list(texts["llm"])
    colours = [COLOURS[0] if Row.parse(name).in_grid else QUIET for name in names]
    with plt.rc_context(RC):
        figure, axes = panels(len(COLUMNS), 2.3, 0.34 * len(names) + 1.0, len(COLUMNS), sharey=True)
        for ax, (column, (title, style)) in zip(axes, COLUMNS.items(), strict=True):
            values = texts[column].astype(float)
            ax.barh(names, values.fillna(0), color=colours, height=0.62)
            share = style == ".2f"
            for place, value in enumerate(values):
                text = "not checkable" if pd.isna(value) else format(value, style)
                offset = 0 if pd.isna(value) else value
                ax.annotate(text, (offset, place), (3, 0), textcoords="offset points", va="center",
                            size=8)  # fmt: skip
            ax.set_xlim(0, 1.2 if share else 1.3 * values.max())
            ax.set_xticks([0, 0.5, 1] if share else [])
            ax.set_title(title, size=9)
            ax.grid(axis="x")
            ax.spines["bottom"].set_visible(False)
        axes[0].invert_yaxis()
    return figure
