"""Which figures a run has."""

from clipdiff.config.stages import GatherSettings
from clipdiff.tables.scope import DIFFERENCE, ZERO_SHOT, splits_with


def figure_names(settings: GatherSettings) -> list[str]:
    """Return the figures that ``gather`` draws, by what the reported splits have measures of."""
    difference = bool(splits_with(settings, DIFFERENCE))
    conditions = {
        "heatmap_difference": difference,
        "heatmap_zero_shot": bool(splits_with(settings, ZERO_SHOT)),
        "gain": difference,
        "tradeoff": bool(splits_with(settings, DIFFERENCE, ZERO_SHOT)),
        "training_curves": True,
        "llm_quality": True,
        "example_pairs": difference,
    }
    return [name for name, holds in conditions.items() if holds]
