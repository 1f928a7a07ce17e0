"""Training loss against step, one panel a loss."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from clipdiff.grid import Row
from clipdiff.tables.figures.style import INK, PER_ROW, QUIET, RC, legend_columns, palette, panels


def training_curves(logs: pd.DataFrame, losses: Sequence[str]) -> Figure:
    """Draw each cell thin and the mean over seeds bold; controls dashed.

    Args:
        logs: columns ``llm, loss, seed, step, value`` of ``read_logs``.
        losses: names, one panel each.
    """
    names = list(dict.fromkeys(logs["llm"]))
    llms = [name for name in names if Row.parse(name).in_grid]
    colours = palette(llms) | dict.fromkeys(set(names) - set(llms), QUIET)
    styles = dict(
        zip([name for name in names if name not in llms], ("--", ":", "-."), strict=False)
    )
    with plt.rc_context(RC):
        figure, axes = panels(len(losses), 3.1, 3.2, sharex=True)
        for ax, loss in zip(axes, losses, strict=True):
            rows = logs[logs["loss"] == loss]
            for llm, arm in rows.groupby("llm", sort=False):
                line = {"color": colours[llm], "ls": styles.get(llm, "-")}
                for _, cell in arm.groupby("seed"):
                    ax.plot(cell["step"], cell["value"], lw=0.6, alpha=0.35, **line)
                mean = arm.groupby("step")["value"].mean()
                label = llm if loss == losses[0] else None
                ax.plot(mean.index, mean, lw=1.7, label=label, **line)
            ax.set_title(loss)
            ax.set_xlabel("step", color=INK)
            ax.grid(axis="y")
        for ax in axes[::PER_ROW]:
            ax.set_ylabel("training loss")
        figure.legend(
            loc="outside upper left", ncols=legend_columns(names, figure.get_figwidth()), fontsize=8
        )
    return figure
