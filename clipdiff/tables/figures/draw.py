"""Draws every figure of the report into ``figures/``."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from clipdiff.config.stages import GatherSettings
from clipdiff.tables.figures.example_pairs import example_pairs
from clipdiff.tables.figures.gain import gain_plot
from clipdiff.tables.figures.heatmap import heatmap
from clipdiff.tables.figures.llm_quality import text_quality
from clipdiff.tables.figures.names import figure_names
from clipdiff.tables.figures.style import save
from clipdiff.tables.figures.tradeoff import tradeoff
from clipdiff.tables.figures.training_curves import training_curves
from clipdiff.tables.reading.examples import ScoredPair
from clipdiff.tables.scope import DIFFERENCE, ZERO_SHOT, splits_with


def draw_figures(
    settings: GatherSettings,
    summary: pd.DataFrame,
    texts: pd.DataFrame,
    logs: pd.DataFrame,
    pairs: Sequence[ScoredPair],
    arm: tuple[str, str],
    folder: Path,
) -> None:
    """Write ``figures/NAME.svg`` and ``.png`` for every name of ``figure_names``.

    Args:
        settings: the grid and the splits.
        summary, texts: ``tables/summary.csv`` and ``tables/llms.csv``.
        logs: of ``read_logs``.
        pairs, arm: held-out example pairs, and row and loss of the cells that scored them.
        folder: where to write.
    """
    differences = splits_with(settings, DIFFERENCE)
    both = splits_with(settings, DIFFERENCE, ZERO_SHOT)
    zero_shots = splits_with(settings, ZERO_SHOT)
    percent = f"{100 * settings.evaluate.confidence:g}"
    drawings: dict[str, Callable[[], Figure]] = {
        "heatmap_difference": lambda: heatmap(summary, DIFFERENCE, differences),
        "heatmap_zero_shot": lambda: heatmap(summary, ZERO_SHOT, zero_shots),
        "gain": lambda: gain_plot(summary, differences, percent),
        "tradeoff": lambda: tradeoff(summary, both),
        "training_curves": lambda: training_curves(logs, settings.losses),
        "llm_quality": lambda: text_quality(texts),
        "example_pairs": lambda: example_pairs(pairs, " with ".join(arm)),
    }
    for name in figure_names(settings):
        save(drawings[name](), folder, name)
