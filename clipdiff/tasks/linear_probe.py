"""Few-shot linear probe (Radford 2021, 3.2): what a finetuned image tower has kept of the classes.

Asked of cells with a frozen image tower it would give each the same number.
"""

import warnings
import zlib
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from clipdiff.errors import DataError
from clipdiff.settings import Evaluate, Positive
from clipdiff.tasks.base import ItemText, Measure, TaskEntry, Validation, View, required
from clipdiff.tasks.measuring.metrics import Items, Metric, stderr_over_draws
from clipdiff.tasks.measuring.splits import Split, labelled_rows

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

TASK = "linear_probe"
STEPS = 1000
TOLERANCE = 1e-8  # of the gradient of the mean
DECAY = 1e-3


class LinearProbe(TaskEntry):
    """Accuracy of logistic regressions on a few images a class of the validation split."""

    task: ClassVar[str] = TASK
    chooses: ClassVar[bool] = True
    needs_trained_images: ClassVar[bool] = True
    without_text: ClassVar[str] = "a regression on image embeddings reads no text"
    measures: ClassVar[tuple[Measure, ...]] = (
        Measure(
            "probe",
            TASK,
            "acc1",
            "Linear probe acc1",
            "Linear probe",
            about="Logistic regressions on a few images a class, where the image tower was "
            "trained.",
        ),
    )

    kind: Literal["linear_probe"] = "linear_probe"
    shots: Positive = Field(16, description="training images a class")

    def on(
        self, split: Split, evaluate: Evaluate, validation: Validation | None = None
    ) -> "LinearProbeTask":
        """Draw training images of the validation split."""
        return LinearProbeTask(self, split, evaluate, required(validation))


class LinearProbeTask:
    """The probe of one split.

    ``evaluate.draws`` times, up to ``shots`` images a class are drawn; an item is a test image, its
    value the share of the regressions that are right. The validation split itself is not measured:
    it is what they are fitted to.
    """

    def __init__(
        self, entry: LinearProbe, split: Split, evaluate: Evaluate, validation: Validation
    ):
        self.fitted_to_itself = split.name == validation.split.name
        self.rows = labelled_rows(split, TASK)
        self.labels = split.labels[self.rows]
        self.items = Items(split.image_ids[self.rows], split.image_ids[self.rows])
        self.validation_labels = validation.split.labels
        classes = np.unique(self.validation_labels[labelled_rows(validation.split, TASK)])
        if len(classes) < 2:
            raise DataError(
                f"{validation.split.where}: images of one class only, and {TASK} needs at least 2 "
                "to tell apart; name another split as evaluate.validation, or leave it out"
            )
        self.shots = [
            draw_shots(self.validation_labels, entry.shots, [evaluate.seed % 2**32, draw])
            for draw in range(evaluate.draws)
        ]

    def texts(self) -> list[str]:
        """Images only."""
        return []

    def reference_texts(self) -> list[str]:
        """No judge needed."""
        return []

    def measure(self, view: View, reference: View) -> list[Metric]:
        """Return acc1, with its standard error over the draws."""
        if self.fitted_to_itself:
            return []
        image_embeds = view.image_embeds[self.rows].double().numpy()
        validation_embeds = required(view.validation_embeds).double().numpy()
        hits = []
        for rows in self.shots:
            regression = fit(validation_embeds[rows], self.validation_labels[rows])
            hits.append(regression.predict(image_embeds) == self.labels)
        outcomes = np.array(hits, dtype=np.float64)  # (draws, n)
        draws = np.repeat(np.arange(len(hits)), len(self.labels))
        stderr = stderr_over_draws(outcomes.ravel(), draws, None)
        return [Metric(TASK, "acc1", outcomes.mean(0), self.items, kept=True, stderr=stderr)]

    def item_texts(self, task: str, metric: str) -> dict[int, ItemText]:
        """Return nothing: no text is read."""
        return {}


def draw_shots(labels: np.ndarray, shots: int, stream: list[int]) -> np.ndarray:
    """Return rows, int64: up to so many of each class, of (n,) labels; -1 is no class."""
    rng = np.random.default_rng([*stream, zlib.crc32(TASK.encode())])
    order = rng.permutation(len(labels))
    parts = [order[labels[order] == label][:shots] for label in np.unique(labels[labels >= 0])]
    return np.sort(np.concatenate(parts))


def fit(image_embeds: np.ndarray, labels: np.ndarray) -> "LogisticRegression":
    """Return the logistic regression that tells the classes of some images apart.

    It minimises the mean cross entropy plus DECAY / 2 times the squared weights without intercepts:
    convex, so the minimum does not depend on a start.

    Args:
        image_embeds: (n, D) float64, L2-normalised.
        labels: (n,) int64 class ids, at least two different ones.
    """
    from sklearn.linear_model import LogisticRegression

    # scikit-learn multiplies the sum by C, and has one row of weights for two classes: w / 2 and
    # -w / 2 of a softmax, which DECAY weighs half as much
    rows = 2 if len(np.unique(labels)) == 2 else 1
    inverse = rows / (DECAY * len(labels))
    regression = LogisticRegression(C=inverse, solver="lbfgs", tol=TOLERANCE, max_iter=STEPS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes")  # one shot a class
        return regression.fit(image_embeds, labels)
