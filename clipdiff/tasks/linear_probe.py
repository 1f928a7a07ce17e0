"""Few-shot linear probe (Radford 2021, 3.2): what a finetuned image tower has kept of the classes.

Asked of cells with a frozen image tower it would give each the same number.
"""

import zlib

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from clipdiff.settings import Evaluate
from clipdiff.tasks.base import Validation, View
from clipdiff.tasks.measuring.metrics import Items, Metric, stderr_over_draws
from clipdiff.tasks.measuring.splits import Split
from clipdiff.tasks.zero_shot import labelled_rows

TASK = "linear_probe"
STEPS = 200
DECAY = 1e-3


class LinearProbe:
    """Accuracy of logistic regressions on a few pictures a class of the validation split.

    ``evaluate.draws`` times, up to ``evaluate.shots`` pictures a class are drawn; an item is a
    test picture, its value the share of the regressions that are right. The validation split
    itself is not measured: it is what they are fitted to.
    """

    def __init__(self, split: Split, settings: Evaluate, validation: Validation):
        self.fitted_to_itself = split.name == validation.split.name
        self.classes = len(split.class_names)
        self.rows = labelled_rows(split, TASK)
        self.labels = split.labels[self.rows]
        self.items = Items(split.image_ids[self.rows], split.image_ids[self.rows])
        self.validation_labels = validation.split.labels
        labelled_rows(validation.split, TASK)
        self.shots = [
            draw_shots(self.validation_labels, settings.shots, [settings.seed % 2**32, draw])
            for draw in range(settings.draws)
        ]

    def texts(self) -> list[str]:
        """Pictures only."""
        return []

    def reference_texts(self) -> list[str]:
        """No judge needed."""
        return []

    def measure(self, view: View, reference: View) -> list[Metric]:
        """Return acc1, with its standard error over the draws."""
        if self.fitted_to_itself:
            return []
        hits = []
        for rows in self.shots:
            shown = torch.from_numpy(self.validation_labels[rows])
            weights = fit(view.validation_embeds[rows], shown, self.classes)
            best = (view.image_embeds[self.rows] @ weights[:-1] + weights[-1]).argmax(1)
            hits.append(best.numpy() == self.labels)
        outcomes = np.array(hits, dtype=np.float64)  # (draws, n)
        draws = np.repeat(np.arange(len(hits)), len(self.labels))
        stderr = stderr_over_draws(outcomes.ravel(), draws, None)
        return [Metric(TASK, "acc1", outcomes.mean(0), self.items, kept=True, stderr=stderr)]


def draw_shots(labels: np.ndarray, shots: int, stream: list[int]) -> np.ndarray:
    """Return rows, int64: up to so many of each class, of (n,) labels; -1 is no class."""
    rng = np.random.default_rng([*stream, zlib.crc32(TASK.encode())])
    order = rng.permutation(len(labels))
    parts = [order[labels[order] == label][:shots] for label in np.unique(labels[labels >= 0])]
    return np.sort(np.concatenate(parts))


def fit(image_embeds: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return (D + 1, C) weights of a logistic regression, the intercepts last.

    Minimises the mean cross entropy plus DECAY / 2 times the squared weights without intercepts,
    by L-BFGS from zero: it is convex, so the minimum does not depend on a start.

    Args:
        image_embeds: (n, D), L2-normalised.
        labels: (n,) int64 class ids.
        classes: C.
    """
    inputs = torch.cat([image_embeds, torch.ones(len(image_embeds), 1)], dim=1).double()
    weights = torch.zeros(inputs.shape[1], classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weights], max_iter=STEPS, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        value = cross_entropy(inputs @ weights, labels) + DECAY / 2 * weights[:-1].square().sum()
        value.backward()
        return value

    solver.step(loss)
    return weights.detach().float()
