"""What stands beside the answer: controls, costs elsewhere, how sure it is, what it cannot say."""

from collections.abc import Sequence

import pandas as pd

from clipdiff.config.stages import GatherSettings
from clipdiff.grid import Control, Row
from clipdiff.stats.paired import smallest_sign_flip_p
from clipdiff.tables.answer.effects import Effect
from clipdiff.tables.scope import DIFFERENCE, FINETUNED, ZERO_SHOT, families, reported_splits
from clipdiff.tables.summary.arms import best_arm, select, weight_kinds
from clipdiff.tasks.base import Measure

CHANCE = 0.5  # of difference accuracy
LEAK = 0.03  # how far above both chance and pretrained the shuffled texts may come


def control_text(settings: GatherSettings, summary: pd.DataFrame) -> str:
    """Return what finetuning on other texts than differences gains; empty without controls."""
    splits = reported_splits(settings.evaluate)
    rows = pd.concat([select(summary, DIFFERENCE, split, FINETUNED) for split in splits])
    controls = rows[rows["kind"] == "control"]
    if controls.empty:
        return ""
    parts = []
    for llm, part in controls.groupby("llm", sort=False):
        survivors = int((part["survives"] & (part["gain"] > 0)).sum())
        parts.append(
            f"{llm} gains {part['gain'].min():+.3f} to {part['gain'].max():+.3f} over losses and "
            f"splits ({survivors} of {len(part)} better than pretrained after Holm)"
        )
    grid = rows.loc[rows["kind"] == "cell", "gain"]
    return (
        f"In difference accuracy the grid's cells gain {grid.min():+.3f} to {grid.max():+.3f}. The "
        f"same finetuning on other texts: {'; '.join(parts)}. What captions gain is not due to "
        f"differences.{_shuffled(rows)}"
    )


def _shuffled(rows: pd.DataFrame) -> str:
    """Say whether texts of the wrong pairs teach more than chance; empty without that control."""
    controls = rows["llm"].map(lambda name: Row.parse(name).control)
    shuffled = rows[controls == Control.SHUFFLED]
    if shuffled.empty:
        return ""
    before = rows[rows["kind"] == "pretrained"].set_index("split")["mean"]
    bounds = shuffled["split"].map(before).clip(lower=CHANCE)
    worst = (shuffled["mean"] - bounds).argmax()
    reached, bound = shuffled["mean"].iloc[worst], bounds.iloc[worst]
    fine = reached <= bound + LEAK
    top = shuffled.groupby("split")["mean"].max()
    arms = rows[rows["kind"] == "cell"]
    above = (arms["mean"] - arms["split"].map(top) > LEAK).groupby(arms["llm"], sort=False).any()
    blind = ", ".join(above.index[~above])
    return (
        f" Texts given to the wrong pairs (shuffled) reach {reached:.3f} on "
        f"{shuffled['split'].iloc[worst]}, where chance or the pretrained CLIP has {bound:.3f}: "
        + ("they teach no differences." if fine else "more than they should; the evaluation leaks.")
        + (f" No cell of {blind} gets more than {LEAK:g} above them." if blind else "")
    )


def cost_text(settings: GatherSettings, summary: pd.DataFrame) -> str:
    """Return the zero-shot changes beside the difference gains, each a mean over its splits."""
    best, parts = best_arm(summary), []
    for weights in weight_kinds(summary):
        changes, gains = (
            _mean_gains(settings, summary, measure, weights, best)
            for measure in (ZERO_SHOT, DIFFERENCE)
        )
        if changes is None:
            return "Zero-shot accuracy was not measured in this run."
        beside = f", and difference accuracy by {gains}" if gains else ""
        parts.append(f"with {weights} weights zero-shot acc1 changes by {changes}{beside}")
    whose = f"For the best cell ({' with '.join(best)})" if best else "Over the cells of the grid"
    return f"{whose}, {'; '.join(parts)}."


def _mean_gains(
    settings: GatherSettings,
    summary: pd.DataFrame,
    measure: Measure,
    weights: str,
    best: tuple[str, str] | None,
) -> str | None:
    """Return the mean change of the best arm, or of all, and its range over splits and arms."""
    splits = reported_splits(settings.evaluate)
    rows = pd.concat([select(summary, measure, split, weights) for split in splits])
    rows = rows[rows["kind"] == "cell"]
    if best:
        rows = rows[(rows["llm"] == best[0]) & (rows["loss"] == best[1])]
    if rows.empty:
        return None
    gains, count = rows["gain"], rows["split"].nunique()
    where = f" on {count} splits" if count > 1 else ""
    ends = f" ({_span(gains, '+.3f')}{where})" if len(rows) > 1 else ""
    return f"{gains.mean():+.3f}{ends}"


def sureness(
    settings: GatherSettings, groups: dict[Measure, list[Effect]]
) -> tuple[str, list[str]]:
    """Return what intervals and p values say, and for each measure what another seed changes."""
    confidence, seeds = 100 * settings.evaluate.confidence, len(settings.seeds)
    text = (
        f"Intervals are {confidence:g} % and come from resampling images "
        f"{settings.evaluate.resamples} times, because pairs share images. They and the p values "
        "say how these models would do on other images of this kind, not how other trainings "
        "would. "
    )
    if seeds < 2:
        text += "With one seed, nothing is known of how a second training run would differ."
    else:
        text += (
            f"For that, stand the spreads over {seeds} seeds beside them; seeds alone could not go "
            f"below p = {smallest_sign_flip_p(seeds):g}."
        )
    return text, [_spread(measure, group) for measure, group in groups.items()
                  if group[0].shares]  # fmt: skip


def _spread(measure: Measure, group: Sequence[Effect]) -> str:
    """Say what another seed changes, and what explains the variance between runs."""
    parts = []
    for name, what in (("first", "the LLM"), ("second", "the loss"),
                       ("interaction", "their interplay"), ("seeds", "the seed")):  # fmt: skip
        shares = [effect.shares[name] for effect in group if effect.shares]
        parts.append(f"{what} {_span(shares, '.0%')}")
    noises = [effect.noise for effect in group]
    return (
        f"{measure.title}: another seed moves a cell by {_span(noises, '.3f')} (standard "
        f"deviation); of the variance between runs, {', '.join(parts)}."
    )


def _span(values: Sequence[float] | pd.Series, style: str) -> str:
    """Return the least and the largest, or one where they read alike."""
    low, high = format(min(values), style), format(max(values), style)
    return low if low == high else f"{low} to {high}"


def limits(settings: GatherSettings, effects: Sequence[Effect]) -> list[str]:
    """Return what the run cannot say, whatever its numbers."""
    texts = [
        "“Not shown” is not “no difference”: the intervals say how large an unseen one could be.",
        "The two ends of a ranking are picked after looking, so the distance between them is "
        "somewhat larger than on new images. Their p is corrected for that, their interval is "
        "not.",
        "A name stands for its whole entry: an LLM for its prompt and for what the filter kept of "
        "its texts, a loss for the training settings that its entry changes.",
        "Holm's correction is over what is compared in one metric, split and weight setting, and "
        "for a metric's answer over its splits; over the metrics nothing is corrected.",
        "All runs finetune one CLIP on one set of pairs; another may rank LLMs and losses "
        "otherwise.",
    ]
    if len(settings.seeds) < 2:
        texts.insert(0, "With one seed, a difference may be that of two training runs.")
    else:
        texts.insert(
            0,
            f"{len(settings.seeds)} seeds give a rough spread: where a difference is not well "
            "above it, other seeds may turn it round.",
        )
    class_measures = {
        measure
        for task in settings.tasks.values()
        if task.items_are_classes
        for measure in task.measures
    }
    measures = [effect.measure for effect in effects if effect.measure in class_measures]
    for family in families(measures):
        texts.append(f"{family} rests on classes: its intervals are over these, not over images.")
    return texts
