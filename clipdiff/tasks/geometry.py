"""Do difference texts lie where the differences of class prompts lie?

For classes a and b with prompts t_a, t_b, and the text e_ab that says how a differs from b.
"""

import zlib

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from clipdiff.settings import Evaluate
from clipdiff.errors import DataError
from clipdiff.tasks.texts.class_texts import ClassTexts
from clipdiff.tasks.texts.class_prompts import class_embeds, class_prompts
from clipdiff.tasks.base import View
from clipdiff.tasks.measuring.metrics import Items, Metric
from clipdiff.tasks.measuring.splits import Split
from clipdiff.tasks.zero_shot import labelled_rows

TASK = "geometry"


class Geometry:
    """Cosines and analogies over pairs of classes, each pair in one order drawn at random.

    ``cosine`` is of e_ab with t_a - t_b, ``cosine_reverse`` of the reverse text e_ba with the
    same; ``direction``: the first is the larger, chance 0.5; ``analogy``: of all class prompts but
    t_b, that nearest to t_b + e_ab is t_a, chance 1 / (C - 1). A pair of which an LLM wrote nothing
    of use counts as such: cosines 0, direction one half, no analogy; so the pairs are the same
    whoever writes. Items rest on two classes, not on pictures: intervals are by resampling
    classes, whose ids stand in the items' image columns.
    """

    def __init__(self, split: Split, settings: Evaluate):
        labels = np.unique(split.labels[labelled_rows(split, TASK)])
        self.classes = len(split.class_names)
        self.prompts = class_prompts(settings.prompt, split.class_names)
        self.pairs, self.true_texts, self.reverse_texts = _draw_pairs(labels, split, settings)
        self.items = Items(np.arange(len(self.pairs)), *self.pairs.T)
        both = zip(self.true_texts, self.reverse_texts, strict=True)
        self.unsaid = torch.tensor([not (text and reverse) for text, reverse in both])

    def texts(self) -> list[str]:
        """All prompts of each class, and each pair's text and its reverse."""
        return [*self.prompts, *self.true_texts, *self.reverse_texts]

    def reference_texts(self) -> list[str]:
        """No judge needed."""
        return []

    def measure(self, view: View, reference: View) -> list[Metric]:
        """Return cosine, cosine_reverse, direction and analogy."""
        prompts = class_embeds(view.text_embeds.of(self.prompts), self.classes)  # (C, D)
        first, second = torch.from_numpy(self.pairs).T
        texts = view.text_embeds.of(self.true_texts)  # (P, D)
        differences = prompts[first] - prompts[second]
        true = cosine_similarity(texts, differences)
        reverse = cosine_similarity(view.text_embeds.of(self.reverse_texts), differences)
        found = analogies(prompts, texts, second)
        true, reverse = (cosine.masked_fill(self.unsaid, 0.0) for cosine in (true, reverse))
        outcomes = {
            "cosine": true,
            "cosine_reverse": reverse,
            "direction": (true > reverse) + 0.5 * (true == reverse),
            "analogy": (found == first) & ~self.unsaid,
        }
        return [
            Metric(
                TASK,
                name,
                values.double().numpy(),
                self.items,
                kept=True,
                higher_is_better=name != "cosine_reverse",
            )
            for name, values in outcomes.items()
        ]


def analogies(prompts: Tensor, texts: Tensor, second: Tensor) -> Tensor:
    """Return (P,) int64: the class nearest to t_b + e_ab, b itself left out.

    Args:
        prompts: (C, D) class prompts, L2-normalised.
        texts: (P, D) difference texts e_ab, L2-normalised.
        second: (P,) int64 class ids b.
    """
    nearness = (prompts[second] + texts) @ prompts.T  # (P, C)
    nearness[torch.arange(len(second)), second] = -torch.inf
    return nearness.argmax(1)


def classes_to_compare(split: Split, settings: Evaluate) -> np.ndarray:
    """Return (P, 2) int64 pairs of class ids, each in one order, that an LLM is asked about."""
    labels = np.unique(split.labels[labelled_rows(split, TASK)])
    return pairs_in_random_order(labels, split, settings)[: settings.class_pairs]


def pairs_in_random_order(labels: np.ndarray, split: Split, settings: Evaluate) -> np.ndarray:
    """Return all (P, 2) pairs of some class ids, each in one order, in an order of the seed."""
    stream = [settings.seed % 2**32, zlib.crc32(split.name.encode()), zlib.crc32(TASK.encode())]
    rng = np.random.default_rng(stream)
    pairs = labels[np.stack(np.triu_indices(len(labels), 1), axis=1)]
    return rng.permuted(rng.permutation(pairs), axis=1)


def _draw_pairs(
    labels: np.ndarray, split: Split, settings: Evaluate
) -> tuple[np.ndarray, list[str], list[str]]:
    """Return (P, 2) int64 class ids, and the texts of each pair in its order and reversed."""
    texts = ClassTexts(split, settings)
    pairs, true_texts, reverse_texts = [], [], []
    for first, second in pairs_in_random_order(labels, split, settings):
        if len(pairs) == settings.class_pairs:
            break
        text, reverse = texts.of(first, second), texts.of(second, first)
        if text is not None and reverse is not None:
            pairs.append((first, second))
            true_texts.append(text)
            reverse_texts.append(reverse)
    if not pairs:
        raise DataError(
            f"{split.where}: no text tells two classes apart; add an attribute that all pictures "
            "of a class share to evaluate.templates, name texts by evaluate.class_differences, or "
            "leave geometry out of evaluate.tasks"
        )
    return np.array(pairs, dtype=np.int64), true_texts, reverse_texts
