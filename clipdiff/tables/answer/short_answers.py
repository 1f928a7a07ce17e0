"""The table of answers: a row a main measure, a few words a question."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from clipdiff.tables.answer.effects import AXES, Effect, Matter, by_measure, how_much, totals
from clipdiff.tables.answer.paragraphs import AXIS_WORDS


@dataclass(frozen=True)
class ShortAnswer:
    """One row of the table of answers: a measure, and a few words a question."""

    title: str
    finetuning: str
    axes: dict[str, str]


def short_answers(effects: Sequence[Effect]) -> list[ShortAnswer]:
    """Return the table of answers, one row a main measure."""
    return [
        ShortAnswer(
            title=measure.title,
            finetuning=_finetuning(group),
            axes={axis: _axis(group, axis) for axis in AXES},
        )
        for measure, group in by_measure(effects).items()
    ]


def _axis(group: Sequence[Effect], axis: str) -> str:
    matter = how_much(group, axis)
    if matter is None:
        return f"One {AXIS_WORDS[axis]} only"
    gaps = [effect.gaps[axis] for effect in group if axis in effect.gaps]
    if matter == Matter.UNSEEN:
        reach = max(gap.reach for gap in gaps)
        return f"Not shown; up to {reach:.3f} may be there unseen"
    survivors = [gap for gap in gaps if gap.survives]
    where = f" on {len(survivors)} of {len(gaps)} splits" if len(gaps) > 1 else ""
    largest = max(survivors, key=attrgetter("gain"))
    return f"{matter}{where}: up to {largest.gain:.3f}, {largest.first} above {largest.last}"


def _finetuning(group: Sequence[Effect]) -> str:
    better, worse, arms = totals(group)
    reach = f"{min(e.lowest for e in group):+.3f} to {max(e.highest for e in group):+.3f}"
    where = f" ({len(group)} splits)" if len(group) > 1 else ""
    if not better and not worse:
        return f"Not shown: none of {arms}{where} differs, {reach}"
    word = "Yes" if not worse else "No, it harms" if not better else "Both"
    counts = {"Yes": f"{better} better", "Both": f"{better} better, {worse} worse"}
    return f"{word}: {counts.get(word, f'{worse} worse')} of {arms}{where}, {reach}"
