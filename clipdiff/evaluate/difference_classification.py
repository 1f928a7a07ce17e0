"""Difference-based classification (Sam et al. 2025): does a text point along its difference?

For a pair of pictures (i, j) that differ in an attribute, and the text c that truly says how, the
pair is right if <e_c, x_i - x_j> > 0. An exact 0 (equal embeddings) counts one half: a model
that can't tell is at chance, not below it.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from clipdiff.config.sections import Evaluate
from clipdiff.errors import DataError
from clipdiff.evaluate.attributes import Coded, coded_attributes
from clipdiff.evaluate.registry import View
from clipdiff.evaluate.results import Items, Metric, stderr_over_draws
from clipdiff.evaluate.splits import Split


@dataclass(frozen=True)
class AttributePairs:
    """The items of one attribute: rows (N, 2) of the split, and the texts of each pair."""

    name: str
    pair_rows: np.ndarray  # (N, 2) int64
    draws: np.ndarray  # (N,) int64
    true_texts: list[str]
    swapped_texts: list[str]


class DifferenceClassification:
    """Difference accuracy of every attribute of the templates, and their mean.

    ``evaluate.draws`` times, ``images_per_draw`` pictures are drawn, and among them half of
    ``pairs_per_draw`` pairs that differ in the attribute, each taken in both orders. So a text
    tower that is blind to the direction of a text scores exactly one half.
    """

    def __init__(self, split: Split, settings: Evaluate):
        self.split = split
        self.attributes = [
            _draw_pairs(name, coded, split, settings)
            for name, coded in coded_attributes(settings.templates, split).items()
        ]

    def texts(self) -> list[str]:
        """The true and the swapped text of every pair."""
        return [
            text for pairs in self.attributes for text in (*pairs.true_texts, *pairs.swapped_texts)
        ]

    def reference_texts(self) -> list[str]:
        """No judge needed."""
        return []

    def measure(self, view: View, reference: View) -> list[Metric]:
        """Return accuracy, auc, swap_consistency and score of each attribute, then of all."""
        outcomes = [pair_outcomes(pairs, view) for pairs in self.attributes]
        metrics = []
        for pairs, values in zip(self.attributes, outcomes, strict=True):
            metrics += self._metrics(pairs.name, [pairs], [values])
        return metrics + self._metrics("mean", self.attributes, outcomes)

    def _metrics(
        self, name: str, parts: list[AttributePairs], outcomes: list[dict[str, np.ndarray]]
    ) -> list[Metric]:
        """Pool attributes: a metric is the mean of the attributes' means."""
        sizes = [len(pairs.draws) for pairs in parts]
        groups = np.repeat(np.arange(len(parts)), sizes) if len(parts) > 1 else None
        draws = np.concatenate([pairs.draws for pairs in parts])
        image_ids = self.split.image_ids[np.concatenate([pairs.pair_rows for pairs in parts])]
        items = Items(np.arange(sum(sizes)), image_ids[:, 0], image_ids[:, 1])
        metrics = []
        for metric in outcomes[0]:
            values = np.concatenate([part[metric] for part in outcomes])
            metrics.append(
                Metric(
                    f"difference/{name}",
                    metric,
                    values,
                    items,
                    groups=groups,
                    kept=metric in ("accuracy", "score"),
                    stderr=stderr_over_draws(values, draws, groups),
                )
            )
        return metrics


def pair_outcomes(pairs: AttributePairs, view: View) -> dict[str, np.ndarray]:
    """Return (N,) float64 per-pair values of each metric; ``score`` is the product itself."""
    first, second = pairs.pair_rows.T
    differences = view.image_embeds[first] - view.image_embeds[second]  # (N, D)
    true = _dots(view.text_embeds.of(pairs.true_texts), differences)
    swapped = _dots(view.text_embeds.of(pairs.swapped_texts), differences)
    return {
        "accuracy": (true > 0) + 0.5 * (true == 0),
        "auc": auc_parts(true, swapped),
        "swap_consistency": ((true > 0) & (swapped < 0)).astype(np.float64),
        "score": true,
    }


def auc_parts(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Return (N,) values whose mean is the ROC-AUC, and that vary as it does.

    Value k is V10(k) + V01(k) - AUC, of the placements of DeLong (1988): a bootstrap of their
    mean is the AUC's to first order.

    Args:
        positives: (N,) scores of the true texts.
        negatives: (N,) scores of the swapped texts.
    """
    above = _share_below(positives, negatives)
    below = 1.0 - _share_below(negatives, positives)
    return above + below - above.mean()


def _share_below(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the share of others below each score, ties counting one half."""
    others = np.sort(others)
    low, high = (np.searchsorted(others, scores, side) for side in ("left", "right"))
    return (low + high) / (2.0 * len(others))


def _dots(text_embeds: Tensor, differences: Tensor) -> np.ndarray:
    return (text_embeds * differences).sum(1).double().numpy()


def _draw_pairs(name: str, coded: Coded, split: Split, settings: Evaluate) -> AttributePairs:
    drawn = [
        _pairs_of_draw(coded.codes, name, split, settings, draw) for draw in range(settings.draws)
    ]
    pair_rows = np.concatenate(drawn)
    if not len(pair_rows):
        raise DataError(
            f"{split.where}: in {settings.draws} draws of {settings.images_per_draw} pictures no "
            f"two differ in '{name}'; raise evaluate.images_per_draw or evaluate.draws"
        )
    return AttributePairs(
        name=name,
        pair_rows=pair_rows,
        draws=np.repeat(np.arange(settings.draws), [len(rows) for rows in drawn]),
        true_texts=[coded.describe(i, j) for i, j in pair_rows],
        swapped_texts=[coded.describe(j, i) for i, j in pair_rows],
    )


def _pairs_of_draw(
    codes: np.ndarray, name: str, split: Split, settings: Evaluate, draw: int
) -> np.ndarray:
    """Return (P, 2) int64 rows of pairs in both orders, of pictures that have the attribute.

    Attributes that every picture has share a draw's pictures.
    """
    stream = [settings.seed % 2**32, zlib.crc32(split.name.encode()), draw]
    known = np.flatnonzero(~np.isnan(codes))
    count = min(settings.images_per_draw, len(known))
    places = np.random.default_rng(stream).choice(len(known), count, replace=False)
    rows = known[np.sort(places)]
    drawn = codes[rows]
    candidates = np.argwhere(np.triu(drawn[:, None] != drawn[None], 1))
    rng = np.random.default_rng([*stream, zlib.crc32(name.encode())])
    half = min(max(1, settings.pairs_per_draw // 2), len(candidates))
    chosen = rows[candidates[rng.choice(len(candidates), half, replace=False)]]
    return np.concatenate([chosen, chosen[:, ::-1]])
