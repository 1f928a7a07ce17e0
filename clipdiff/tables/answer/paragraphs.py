"""The answers in words: a question, a sentence, and what it rests on."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

import pandas as pd

from clipdiff.config.stages import GatherSettings
from clipdiff.tables.answer.caveats import control_text, cost_text, sureness
from clipdiff.tables.answer.effects import Effect, Gap, Matter, by_measure, how_much, totals
from clipdiff.tables.scope import DIFFERENCE, FINETUNED, reported_splits
from clipdiff.tables.summary.arms import best_arm, select
from clipdiff.tables.summary.markup import p_text
from clipdiff.tasks.base import Measure

FEW = 3  # so many splits are told one by one
AXIS_WORDS = {"llm": "LLM", "loss": "loss"}
MEANING = {
    Matter.YES: "yes, for",
    Matter.LITTLE: "little, within what another seed changes, for",
    Matter.UNSEEN: "not that this run could show for",
}


@dataclass(frozen=True)
class Paragraph:
    """One question and the report's answer: a sentence, and what it rests on."""

    question: str
    text: str
    details: Sequence[str] = ()


def answer_paragraphs(
    settings: GatherSettings, summary: pd.DataFrame, effects: Sequence[Effect]
) -> list[Paragraph]:
    """Answer what the grid was run for, on all reported splits with finetuned weights."""
    groups = by_measure(effects)
    if not groups:
        return [Paragraph("What came out?", "No finetuned model was measured: see the tables.")]
    paragraphs = [
        Paragraph("Does finetuning on differences help?", *_gains(settings, summary, groups))
    ]
    for axis, word in AXIS_WORDS.items():
        paragraphs.append(Paragraph(f"Does the {word} matter?", *_axis(settings, groups, axis)))
    if text := control_text(settings, summary):
        paragraphs.append(Paragraph("Is it the differences that help?", text))
    paragraphs.append(Paragraph("What does it cost elsewhere?", cost_text(settings, summary)))
    paragraphs.append(Paragraph("How sure is this?", *sureness(settings, groups)))
    return paragraphs


def _gains(
    settings: GatherSettings, summary: pd.DataFrame, groups: dict[Measure, list[Effect]]
) -> tuple[str, list[str]]:
    details = [f"{measure.title}: {_counted(group)}." for measure, group in groups.items()]
    text = "Cells are counted that differ from the pretrained CLIP after Holm's correction. "
    best = best_arm(summary)
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
        better, worse, arms = totals(group)
        low, high = min(group, key=attrgetter("lowest")), max(group, key=attrgetter("highest"))
        return (
            f"over {len(group)} splits {better} of {arms} better and {worse} worse, from "
            f"{low.lowest:+.3f} ({low.split}) to {high.highest:+.3f} ({high.split})"
        )
    return "; ".join(
        f"{part.better} of {part.arms} better and {part.worse} worse on {part.split} "
        f"({part.lowest:+.3f} to {part.highest:+.3f}, before {part.before:.3f})"
        for part in group
    )


def _axis(
    settings: GatherSettings, groups: dict[Measure, list[Effect]], axis: str
) -> tuple[str, list[str]]:
    matters = {measure: how_much(group, axis) for measure, group in groups.items()}
    if not any(matters.values()):
        names = {"llm": settings.llms, "loss": settings.losses}[axis]
        return f"This run cannot say: it has one {AXIS_WORDS[axis]} only ({names[0]}).", []
    parts = []
    for matter, meaning in MEANING.items():
        titles = [measure.title for measure, each in matters.items() if each == matter]
        if titles:
            parts.append(f"{meaning} {_listed(titles)}")
    text = "; ".join(parts) + ". Each p is after Holm's correction over all pairs and splits."
    details = [
        f"{measure.title}: " + _told(group, axis)
        for measure, group in groups.items()
        if matters[measure]
    ]
    return text[0].upper() + text[1:], details


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _told(group: Sequence[Effect], axis: str) -> str:
    """Tell a measure's few splits one by one, of many the two ends; nothing by its p alone."""
    having = [(effect, effect.gaps[axis]) for effect in group if axis in effect.gaps]
    if len(having) <= FEW:
        return "; ".join(_one_split(effect, gap) for effect, gap in having) + "."
    ordered = sorted(having, key=lambda pair: pair[1].gain)
    farthest = _one_split(*ordered[-1])
    survivors = [effect.split for effect, gap in having if gap.survives]
    if not survivors:
        return f"beyond chance on none of {len(having)} splits; the farthest, {farthest}."
    beyond = [effect.split for effect in group if effect.matters(axis)]
    firsts = [gap.first for _, gap in having]
    leader = max(dict.fromkeys(firsts), key=firsts.count)
    return (
        f"beyond chance on {len(survivors)} of {len(having)} splits ({', '.join(survivors)}), and "
        f"on {len(beyond)} beyond twice the spread over seeds. The least apart, "
        f"{_one_split(*ordered[0])}; the farthest, {farthest}. {leader} is first on "
        f"{firsts.count(leader)} of {len(having)}."
    )


def _one_split(effect: Effect, gap: Gap) -> str:
    """Say which name is above which; only a difference beyond chance is set against the seeds."""
    ends = f"{gap.gain:.3f} [{gap.low:+.3f}, {gap.high:+.3f}], {p_text(gap.p_split)}"
    if not gap.survives:
        return f"on {effect.split} nothing beyond chance ({gap.first} over {gap.last} {ends})"
    noise = effect.noise
    against = f", {gap.gain / noise:.1f} times the spread over seeds" if noise > 0 else ""
    return f"on {effect.split} {gap.first} is above {gap.last} by {ends}{against}"


def _row(rows: pd.DataFrame, arm: tuple[str, str]) -> pd.Series:
    return rows[(rows["llm"] == arm[0]) & (rows["loss"] == arm[1])].iloc[0]
