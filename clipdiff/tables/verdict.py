"""The report's answer in words: nothing is said that a table does not hold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clipdiff.config.stages import GatherSettings
from clipdiff.stats.paired import smallest_sign_flip_p
from clipdiff.stats.variance import variance_shares
from clipdiff.tables.measures import DIFFERENCE, FINETUNED, ZERO_SHOT, reported_splits
from clipdiff.tables.summary import best_cell, p_text, select

CHANCE = 0.5  # of difference accuracy
LEAK = 0.03  # how far above both chance and pretrained the shuffled texts may come


@dataclass(frozen=True)
class Answer:
    """One question and its answer."""

    question: str
    text: str


def answers(
    settings: GatherSettings, long: pd.DataFrame, summary: pd.DataFrame, tests: pd.DataFrame
) -> list[Answer]:
    """Answer what the grid was run for, on the first reported split with finetuned weights."""
    split = reported_splits(settings.evaluate.splits)[0]
    rows = select(summary, DIFFERENCE, split, FINETUNED)
    if rows.empty:
        return [Answer("What came out?", "Difference accuracy was not measured: see the tables.")]
    held = _of(tests, split, DIFFERENCE.task)
    found = [
        Answer("Does finetuning on differences help?", _gain(settings, summary, rows, split)),
        Answer("Does the LLM matter?", _axis(settings, held, rows, "llm", settings.llms)),
        Answer("Does the loss matter?", _axis(settings, held, rows, "loss", settings.losses)),
        Answer("How sure is this?", _sure(settings, long, rows, split)),
        Answer("What does it cost elsewhere?", _cost(settings, summary, split)),
    ]
    if not rows[rows["kind"] == "control"].empty:
        found.insert(3, Answer("Is it the differences that help?", _controls(rows)))
    return found


def _of(tests: pd.DataFrame, split: str, task: str) -> pd.DataFrame:
    same = (tests["split"] == split) & (tests["task"] == task)
    return tests[same & (tests["weights"] == FINETUNED)]


def _gain(settings: GatherSettings, summary: pd.DataFrame, rows: pd.DataFrame, split: str) -> str:
    cells, best = rows[rows["kind"] == "cell"], best_cell(summary)
    before = rows.loc[rows["kind"] == "pretrained", "mean"].iloc[0]
    up = int((cells["survives"] & (cells["gain"] > 0)).sum())
    text = (
        f"The pretrained CLIP gets {before:.3f} of the held-out difference texts right (chance is "
        f"0.5). {up} of {len(cells)} cells are better than it after Holm's correction, by "
        f"{cells['gain'].min():+.3f} to {cells['gain'].max():+.3f}. "
    )
    if best is None:
        return text + "No cell is called best: there is no validation split to choose it on."
    text += f"The best on the validation split is {' with '.join(best)}: "
    parts = []
    for name in reported_splits(settings.evaluate.splits):
        row = _row(select(summary, DIFFERENCE, name, FINETUNED), best)
        parts.append(
            f"{row['mean']:.3f} on {name}, a gain of {row['gain']:+.3f} "
            f"[{row['gain_low']:+.3f}, {row['gain_high']:+.3f}]"
        )
    return text + "; ".join(parts) + "."


def _axis(
    settings: GatherSettings,
    tests: pd.DataFrame,
    rows: pd.DataFrame,
    axis: str,
    names: Sequence[str],
) -> str:
    if len(names) < 2:
        return f"This run cannot say: it has one {axis} only ({names[0]})."
    cells = rows[rows["kind"] == "cell"]
    means = cells.groupby(axis)["mean"].mean().sort_values(ascending=False)
    listed = ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())
    pairs = tests[tests["kind"] == axis]
    differ = int(pairs["survives"].sum())
    top, last = means.index[0], means.index[-1]
    ends = pairs[pairs["first"].isin([top, last]) & pairs["second"].isin([top, last])].iloc[0]
    sign = 1 if ends["first"] == top else -1
    low, high = sorted((sign * ends["ci_low"], sign * ends["ci_high"]))
    noise = cells["sd"].mean()
    verdict = "Yes" if ends["survives"] else "Not that this run could show"
    if ends["survives"] and abs(ends["gain"]) < 2 * noise:
        verdict = "Little: it is on these pictures, yet within what another seed changes"
    against = f", {abs(ends['gain']) / noise:.0f} times the spread over seeds" if noise > 0 else ""
    return (
        f"{verdict}. Averaged over all else: {listed}. From {last} to {top} it is "
        f"{sign * ends['gain']:+.3f} [{low:+.3f}, {high:+.3f}], {p_text(ends['p_holm'])} after "
        f"Holm{against}; {differ} of {len(pairs)} pairs differ at {settings.gather.alpha:g}."
    )


def _controls(rows: pd.DataFrame) -> str:
    parts = []
    for llm, part in rows[rows["kind"] == "control"].groupby("llm", sort=False):
        survivors = int((part["survives"] & (part["gain"] > 0)).sum())
        parts.append(
            f"{llm} gains {part['gain'].min():+.3f} to {part['gain'].max():+.3f} over the losses "
            f"({survivors} of {len(part)} better than pretrained after Holm)"
        )
    grid = rows.loc[rows["kind"] == "cell", "gain"]
    leak = _shuffled(rows)
    return (
        f"The grid's cells gain {grid.min():+.3f} to {grid.max():+.3f}. The same finetuning on "
        f"other texts: {'; '.join(parts)}. What captions gain is not due to differences.{leak}"
    )


def _shuffled(rows: pd.DataFrame) -> str:
    """Say whether texts of the wrong pairs teach more than chance; empty without that control."""
    reached = rows.loc[rows["llm"].str.startswith("shuffled-"), "mean"]
    if reached.empty:
        return ""
    before = rows.loc[rows["kind"] == "pretrained", "mean"].iloc[0]
    bound = max(before, CHANCE)
    fine = reached.max() <= bound + LEAK
    return (
        f" Texts given to the wrong pairs (shuffled) reach {reached.max():.3f}, where chance or "
        f"the pretrained CLIP has {bound:.3f}: "
        + ("they teach no differences." if fine else "more than they should; the evaluation leaks.")
    )


def _sure(settings: GatherSettings, long: pd.DataFrame, rows: pd.DataFrame, split: str) -> str:
    confidence, seeds = 100 * settings.evaluate.confidence, len(settings.seeds)
    text = (
        f"Intervals are {confidence:g} % and come from resampling pictures "
        f"{settings.evaluate.resamples} times, because pairs share pictures; p values are Holm's "
        "over all cells of a metric. They say how a finetuned model would do on other pictures of "
        "this kind. "
    )
    if seeds < 2:
        return text + "With one seed, nothing is known of how a second training run would differ."
    cells = rows[rows["kind"] == "cell"]
    shares = variance_shares(_grid_values(settings, long, split))
    return text + (
        f"Training again with another seed moves a cell by {cells['sd'].mean():.3f} (standard "
        f"deviation over {seeds} seeds, mean of the cells). Of all variance between runs the LLM "
        f"explains {shares['first']:.0%}, the loss {shares['second']:.0%}, their interplay "
        f"{shares['interaction']:.0%} and the seed {shares['seeds']:.0%}. Seeds alone could not go "
        f"below p = {smallest_sign_flip_p(seeds):g}, so tests are over items."
    )


def _grid_values(settings: GatherSettings, long: pd.DataFrame, split: str) -> np.ndarray:
    """Return (LLMs, losses, seeds) difference accuracies of the grid."""
    chosen = long[
        (long["task"] == DIFFERENCE.task)
        & (long["metric"] == DIFFERENCE.metric)
        & (long["split"] == split)
        & (long["weights"] == FINETUNED)
        & long["llm"].isin(settings.llms)
    ]
    values = chosen.sort_values(["llm", "loss", "seed"])["value"].to_numpy()
    return values.reshape(len(settings.llms), len(settings.losses), len(settings.seeds))


def _cost(settings: GatherSettings, summary: pd.DataFrame, split: str) -> str:
    best = best_cell(summary)
    kinds = [name for name in summary["weights"].unique() if name != "pretrained"]
    parts = []
    for weights in sorted(kinds, key=lambda name: name != FINETUNED):
        zero_shot = select(summary, ZERO_SHOT, split, weights)
        gains = select(summary, DIFFERENCE, split, weights)
        if zero_shot.empty:
            return "Zero-shot accuracy was not measured in this run."
        if best:
            changed, gained = _row(zero_shot, best), _row(gains, best)
            parts.append(
                f"with {weights} weights zero-shot acc1 is {changed['mean']:.3f} "
                f"({changed['gain']:+.3f}) and the difference gain {gained['gain']:+.3f}"
            )
        else:
            change = zero_shot.loc[zero_shot["kind"] == "cell", "gain"]
            parts.append(
                f"with {weights} weights zero-shot acc1 changes by {change.min():+.3f} to "
                f"{change.max():+.3f}"
            )
    whose = "For the best cell, " if best else ""
    text = whose + "; ".join(parts) + "."
    return text[0].upper() + text[1:]


def _row(rows: pd.DataFrame, cell: tuple[str, str]) -> pd.Series:
    return rows[(rows["llm"] == cell[0]) & (rows["loss"] == cell[1])].iloc[0]
