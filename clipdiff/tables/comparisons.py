"""Paired tests on items: cells against the pretrained CLIP, LLMs and losses against each other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from clipdiff.config.stages import GatherSettings
from clipdiff.grid import Variant
from clipdiff.stats.paired import holm, mcnemar_over_seeds, paired_bootstrap
from clipdiff.tables.measures import row_kind
from clipdiff.tables.outcomes import Outcomes

FAMILY = ["kind", "task", "metric", "split", "weights"]


@dataclass(frozen=True)
class Contrast:
    """Some variants against others of the same number, or against ``pretrained`` (empty)."""

    kind: str
    first: str
    second: str
    variants: tuple[Variant, ...]
    others: tuple[Variant, ...] = ()


def compare(settings: GatherSettings, outcomes: Sequence[Outcomes]) -> pd.DataFrame:
    """Return the rows of ``tables/tests.csv``.

    A family of Holm's correction is all comparisons of one ``kind`` (``cell`` and ``control``
    against pretrained, ``llm`` against llm, ``loss`` against loss) in one metric, split and weight
    setting. Intervals are over pictures; seeds are averaged per item.
    """
    rows = [row for outcome in outcomes for row in _compare_one(settings, outcome)]
    table = pd.DataFrame(rows)
    table["p_holm"] = table.groupby(FAMILY, sort=False)["p"].transform(lambda p: holm(p.to_numpy()))
    table["survives"] = table["p_holm"] < settings.gather.alpha
    return table


def _compare_one(settings: GatherSettings, outcome: Outcomes) -> Iterator[dict[str, object]]:
    contrasts = list(_contrasts(settings, outcome))
    items, measure = outcome.items, outcome.measure
    cells = list(dict.fromkeys((variant.llm, variant.loss) for variant in outcome.values))
    found = paired_bootstrap(
        np.stack([outcome.pretrained, *(outcome.cell_mean(*cell) for cell in cells)]),
        np.stack([_weights(contrast.variants, cells) for contrast in contrasts]),
        np.stack([_weights(contrast.others, cells) for contrast in contrasts]),
        items.image_id_1,
        items.image_id_2,
        resamples=settings.evaluate.resamples,
        confidence=settings.evaluate.confidence,
        seed=settings.evaluate.seed,
        groups=items.groups,
    )
    for contrast, result in zip(contrasts, found, strict=True):
        yield {
            "kind": contrast.kind,
            "first": contrast.first,
            "second": contrast.second,
            "task": measure.task,
            "metric": measure.metric,
            "split": outcome.split,
            "weights": outcome.weights,
            "n": len(items.item_ids),
            "runs": len(contrast.variants),
            "value": result.value,
            "value_low": result.value_interval.low,
            "value_high": result.value_interval.high,
            "gain": result.gain,
            "stderr": result.interval.stderr,
            "ci_low": result.interval.low,
            "ci_high": result.interval.high,
            "p": result.p,
            "mcnemar_p": _mcnemar(outcome, contrast) if measure.independent else None,
        }


def _contrasts(settings: GatherSettings, outcome: Outcomes) -> Iterator[Contrast]:
    variants = list(outcome.values)
    cells = dict.fromkeys((variant.llm, variant.loss) for variant in variants)
    for llm, loss in cells:
        chosen = tuple(v for v in variants if (v.llm, v.loss) == (llm, loss))
        yield Contrast(row_kind(llm), f"{llm}/{loss}", "pretrained", chosen)
    for kind, names in (("llm", settings.llms), ("loss", settings.losses)):
        for first, second in combinations(names, 2):
            sides = _partners(variants, kind, first, second)
            if sides[0]:
                yield Contrast(kind, first, second, *sides)


def _partners(
    variants: Sequence[Variant], kind: str, first: str, second: str
) -> tuple[tuple[Variant, ...], tuple[Variant, ...]]:
    """Return the grid's runs with ``first``, and those that differ in having ``second`` only.

    Runs without a partner are left out: a metric need not be measured in every cell.
    """
    runs = [v for v in variants if getattr(v, kind) == first and row_kind(v.llm) == "cell"]
    pairs = [(run, replace(run, **{kind: second})) for run in runs]
    pairs = [pair for pair in pairs if pair[1] in set(variants)]
    return tuple(run for run, _ in pairs), tuple(other for _, other in pairs)


def _weights(variants: Sequence[Variant], cells: Sequence[tuple[str, str]]) -> np.ndarray:
    """Return (1 + cells,) shares: all on ``pretrained``, the first, where no variant is named."""
    named = [(variant.llm, variant.loss) for variant in variants]
    counts = [float(not named), *(float(named.count(cell)) for cell in cells)]
    return np.array(counts) / sum(counts)


def _mcnemar(outcome: Outcomes, contrast: Contrast) -> float:
    """Test run against run: a run's partner differs in the compared name only."""
    hits = np.stack([outcome.values[v] for v in contrast.variants]) > 0.5
    if not contrast.others:
        return mcnemar_over_seeds(hits, np.broadcast_to(outcome.pretrained > 0.5, hits.shape))
    return mcnemar_over_seeds(hits, np.stack([outcome.values[v] for v in contrast.others]) > 0.5)
