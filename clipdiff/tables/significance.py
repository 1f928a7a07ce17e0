"""Paired tests on items: arms against the pretrained CLIP, LLMs and losses against each other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from clipdiff.config.stages import GatherSettings
from clipdiff.grid import Cell, Row
from clipdiff.stats.paired import holm, mcnemar_over_seeds, paired_bootstrap
from clipdiff.tables.reading.item_files import Outcomes

FAMILY = ["kind", "task", "metric", "split", "weights"]


@dataclass(frozen=True)
class Contrast:
    """Some cells against others of the same number, or against ``pretrained`` (empty)."""

    kind: str
    first: str
    second: str
    cells: tuple[Cell, ...]
    others: tuple[Cell, ...] = ()


def compare(settings: GatherSettings, outcomes: Sequence[Outcomes]) -> pd.DataFrame:
    """Return the rows of ``tables/tests.csv``.

    A family of Holm's correction is all comparisons of one ``kind`` (``cell`` and ``control``
    against pretrained, ``llm`` against llm, ``loss`` against loss) in one metric, split and weight
    setting. Intervals are over images; seeds are averaged per item.
    """
    rows = [row for outcome in outcomes for row in _compare_one(settings, outcome)]
    table = pd.DataFrame(rows)
    for _, family in table.groupby(FAMILY, sort=False):
        table.loc[family.index, "p_holm"] = holm(family["p"].to_numpy())
    table["survives"] = table["p_holm"] < settings.gather.alpha
    return table


def _compare_one(settings: GatherSettings, outcome: Outcomes) -> Iterator[dict[str, object]]:
    contrasts = list(_contrasts(settings, outcome))
    items, measure, arms = outcome.items, outcome.measure, outcome.arms
    comparisons = paired_bootstrap(
        np.stack([outcome.pretrained, *(outcome.arm_mean(arm) for arm in arms)]),
        np.stack([_shares(contrast.cells, arms) for contrast in contrasts]),
        np.stack([_shares(contrast.others, arms) for contrast in contrasts]),
        items.image_id_1,
        items.image_id_2,
        resamples=settings.evaluate.resamples,
        confidence=settings.evaluate.confidence,
        seed=settings.evaluate.seed,
        groups=items.groups,
    )
    for contrast, comparison in zip(contrasts, comparisons, strict=True):
        yield {
            "kind": contrast.kind,
            "first": contrast.first,
            "second": contrast.second,
            "task": measure.task,
            "metric": measure.metric,
            "split": outcome.split,
            "weights": outcome.weights,
            "n": len(items.item_ids),
            "runs": len(contrast.cells),
            "value": comparison.value,
            "value_low": comparison.value_interval.low,
            "value_high": comparison.value_interval.high,
            "gain": comparison.gain,
            "stderr": comparison.interval.stderr,
            "ci_low": comparison.interval.low,
            "ci_high": comparison.interval.high,
            "p": comparison.p,
            "mcnemar_p": _mcnemar(outcome, contrast) if measure.independent else None,
        }


def _contrasts(settings: GatherSettings, outcome: Outcomes) -> Iterator[Contrast]:
    cells = list(outcome.values)
    for arm in outcome.arms:
        seeds = tuple(cell for cell in cells if cell.arm == arm)
        yield Contrast(seeds[0].row.kind, "/".join(arm), "pretrained", seeds)
    for axis, names in (("llm", settings.llms), ("loss", settings.losses)):
        for first, second in combinations(names, 2):
            sides = _partners(cells, axis, first, second)
            if sides[0]:
                yield Contrast(axis, first, second, *sides)


def _partners(
    cells: Sequence[Cell], axis: str, first: str, second: str
) -> tuple[tuple[Cell, ...], tuple[Cell, ...]]:
    """Return the grid's cells with ``first``, and those that differ in having ``second`` only.

    Cells without a partner are left out: a metric need not be measured in every cell.
    """
    there = set(cells)
    grid = [cell for cell in cells if cell.row.in_grid and _moved(cell, axis, first) == cell]
    pairs = [(cell, _moved(cell, axis, second)) for cell in grid]
    pairs = [pair for pair in pairs if pair[1] in there]
    return tuple(cell for cell, _ in pairs), tuple(other for _, other in pairs)


def _moved(cell: Cell, axis: str, name: str) -> Cell:
    """Return the cell that has another name on an axis."""
    return replace(cell, row=Row(name)) if axis == "llm" else replace(cell, loss=name)


def _shares(cells: Sequence[Cell], arms: Sequence[tuple[str, str]]) -> np.ndarray:
    """Return (1 + arms,) shares: all on ``pretrained``, the first, where no cell is named."""
    named = [cell.arm for cell in cells]
    counts = [float(not named), *(float(named.count(arm)) for arm in arms)]
    return np.array(counts) / sum(counts)


def _mcnemar(outcome: Outcomes, contrast: Contrast) -> float:
    """Test cell by cell: a cell's partner differs in the compared name only."""
    hits = np.stack([outcome.values[cell] for cell in contrast.cells]) > 0.5
    if not contrast.others:
        return mcnemar_over_seeds(hits, np.broadcast_to(outcome.pretrained > 0.5, hits.shape))
    others = np.stack([outcome.values[cell] for cell in contrast.others])
    return mcnemar_over_seeds(hits, others > 0.5)
