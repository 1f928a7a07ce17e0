"""The report's answer in words: nothing is said that a table does not hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

import pandas as pd

from clipdiff.config.stages import GatherSettings
from clipdiff.tables.caveats import control_text, cost_text, sureness
from clipdiff.tables.effects import AXES, Contrast, Effect, by_measure
from clipdiff.tables.measures import DIFFERENCE, FINETUNED, Measure, reported_splits
from clipdiff.tables.summary import best_cell, p_text, select

FEW = 3  # so many splits are told one by one
NAMES = {"llm": "LLM", "loss": "loss"}

YES, LITTLE, UNSEEN = "Yes", "Little", "Not that this run could show"
MEANING = {
    YES: "yes, for",
    LITTLE: "little, within what another seed changes, for",
    UNSEEN: "not that this run could show for",
}


@dataclass(frozen=True)
class Answer:
    """One question and its answer: a sentence, and what it rests on."""

    question: str
    text: str
    details: Sequence[str] = ()


@dataclass(frozen=True)
class Line:
    """One row of the table of answers: a metric, and a few words a question."""

    title: str
    finetuning: str
    axes: dict[str, str]


def answers(
    settings: GatherSettings, summary: pd.DataFrame, effects: Sequence[Effect]
) -> list[Answer]:
    """Answer what the grid was run for, on all reported splits with finetuned weights."""
    groups = by_measure(effects)
    if not groups:
        return [Answer("What came out?", "No finetuned model was measured: see the tables.")]
    found = [
        Answer("Does finetuning on differences help?", *_gains(settings, summary, groups)),
        *(Answer(f"Does the {NAMES[axis]} matter?", *_axis(settings, groups, axis))
          for axis in AXES),
    ]  # fmt: skip
    if text := control_text(settings, summary):
        found.append(Answer("Is it the differences that help?", text))
    found.append(Answer("What does it cost elsewhere?", cost_text(settings, summary)))
    found.append(Answer("How sure is this?", *sureness(settings, groups)))
    return found


def answer_lines(effects: Sequence[Effect]) -> list[Line]:
    """Return the table of answers, one row a main metric."""
    return [
        Line(
            title=measure.title,
            finetuning=_finetuning_word(group),
            axes={axis: _axis_word(group, axis) for axis in AXES},
        )
        for measure, group in by_measure(effects).items()
    ]


def verdict(group: Sequence[Effect], axis: str) -> str | None:
    """Return how an axis matters to a metric on its splits; None where it has one name only."""
    contrasts = [effect.contrasts[axis] for effect in group if axis in effect.contrasts]
    if not contrasts:
        return None
    if any(effect.matters(axis) for effect in group):
        return YES
    return LITTLE if any(found.survives for found in contrasts) else UNSEEN


def totals(group: Sequence[Effect]) -> tuple[int, int, int]:
    """Return how many cells are better, worse, and how many there are, over all splits."""
    names = ("better", "worse", "cells")
    better, worse, cells = (sum(getattr(effect, name) for effect in group) for name in names)
    return better, worse, cells


def _axis_word(group: Sequence[Effect], axis: str) -> str:
    word = verdict(group, axis)
    if word is None:
        return f"One {NAMES[axis]} only"
    group = [effect for effect in group if axis in effect.contrasts]
    shown = [effect for effect in group if effect.contrasts[axis].survives]
    if word == UNSEEN:
        reach = max(effect.contrasts[axis].reach for effect in group)
        return f"Not shown; up to {reach:.3f} may be there unseen"
    where = f" on {len(shown)} of {len(group)} splits" if len(group) > 1 else ""
    largest = max((effect.contrasts[axis] for effect in shown), key=attrgetter("gain"))
    return f"{word}{where}: up to {largest.gain:.3f}, {largest.first} above {largest.last}"


def _finetuning_word(group: Sequence[Effect]) -> str:
    better, worse, cells = totals(group)
    reach = f"{min(e.lowest for e in group):+.3f} to {max(e.highest for e in group):+.3f}"
    where = f" ({len(group)} splits)" if len(group) > 1 else ""
    if not better and not worse:
        return f"Not shown: none of {cells}{where} differs, {reach}"
    word = "Yes" if not worse else "No, it harms" if not better else "Both"
    told = {"Yes": f"{better} better", "Both": f"{better} better, {worse} worse"}
    return f"{word}: {told.get(word, f'{worse} worse')} of {cells}{where}, {reach}"


def _gains(
    settings: GatherSettings, summary: pd.DataFrame, groups: dict[Measure, list[Effect]]
) -> tuple[str, list[str]]:
    details = [f"{measure.title}: {_counted(group)}." for measure, group in groups.items()]
    text = "Cells are counted that differ from the pretrained CLIP after Holm's correction. "
    best = best_cell(summary)
    if best is None:
        return text + "No cell is called best: there is no validation split to choose it on.", (
            details
        )
    parts = []
    for split in reported_splits(settings.evaluate):
        rows = select(summary, DIFFERENCE, split, FINETUNED)
        if not rows.empty:
            row = _row(rows, best)
            parts.append(
                f"{row['mean']:.3f} on {split}, a gain of {row['gain']:+.3f} "
                f"[{row['gain_low']:+.3f}, {row['gain_high']:+.3f}]"
            )
    text += f"The best on the validation split is {' with '.join(best)}"
    return f"{text}: {'; '.join(parts)}." if parts else f"{text}.", details


def _counted(group: Sequence[Effect]) -> str:
    """Say how many cells are better and worse, split by split where there are few."""
    if len(group) > FEW:
        better, worse, cells = totals(group)
        low, high = min(group, key=attrgetter("lowest")), max(group, key=attrgetter("highest"))
        return (
            f"over {len(group)} splits {better} of {cells} better and {worse} worse, from "
            f"{low.lowest:+.3f} ({low.split}) to {high.highest:+.3f} ({high.split})"
        )
    return "; ".join(
        f"{part.better} of {part.cells} better and {part.worse} worse on {part.split} "
        f"({part.lowest:+.3f} to {part.highest:+.3f}, before {part.before:.3f})"
        for part in group
    )


def _axis(
    settings: GatherSettings, groups: dict[Measure, list[Effect]], axis: str
) -> tuple[str, list[str]]:
    words = {measure: verdict(group, axis) for measure, group in groups.items()}
    if not any(words.values()):
        names = {"llm": settings.llms, "loss": settings.losses}[axis]
        return f"This run cannot say: it has one {NAMES[axis]} only ({names[0]}).", []
    parts = []
    for word, meaning in MEANING.items():
        titles = [measure.title for measure, found in words.items() if found == word]
        if titles:
            parts.append(f"{meaning} {_listed(titles)}")
    text = "; ".join(parts) + ". Each p is after Holm's correction over all pairs and splits."
    details = [
        f"{measure.title}: " + _told(group, axis)
        for measure, group in groups.items()
        if words[measure]
    ]
    return text[0].upper() + text[1:], details


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _told(group: Sequence[Effect], axis: str) -> str:
    """Tell a metric's few splits one by one, of many the two ends; nothing by its p alone."""
    having = [(effect, effect.contrasts[axis]) for effect in group if axis in effect.contrasts]
    if len(having) <= FEW:
        return "; ".join(_one_split(effect, found) for effect, found in having) + "."
    ordered = sorted(having, key=lambda pair: pair[1].gain)
    farthest = _one_split(*ordered[-1])
    shown = [effect.split for effect, found in having if found.survives]
    if not shown:
        return f"beyond chance on none of {len(having)} splits; the farthest, {farthest}."
    beyond = [effect.split for effect in group if effect.matters(axis)]
    firsts = [found.first for _, found in having]
    leader = max(dict.fromkeys(firsts), key=firsts.count)
    return (
        f"beyond chance on {len(shown)} of {len(having)} splits ({', '.join(shown)}), and on "
        f"{len(beyond)} beyond twice the spread over seeds. The least apart, "
        f"{_one_split(*ordered[0])}; the farthest, {farthest}. {leader} is first on "
        f"{firsts.count(leader)} of {len(having)}."
    )


def _one_split(effect: Effect, found: Contrast) -> str:
    """Say which name is above which; only a difference beyond chance is set against the seeds."""
    ends = f"{found.gain:.3f} [{found.low:+.3f}, {found.high:+.3f}], {p_text(found.p_split)}"
    if not found.survives:
        return f"on {effect.split} nothing beyond chance ({found.first} over {found.last} {ends})"
    noise = effect.noise
    against = f", {found.gain / noise:.1f} times the spread over seeds" if noise > 0 else ""
    return f"on {effect.split} {found.first} is above {found.last} by {ends}{against}"


def _row(rows: pd.DataFrame, cell: tuple[str, str]) -> pd.Series:
    return rows[(rows["llm"] == cell[0]) & (rows["loss"] == cell[1])].iloc[0]
