"""Models in this process: prompts of like length answered together, batch by batch."""

from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Sequence
from typing import Any

from clipdiff.prompts import Turn
from clipdiff.writers.base import Answer


class BatchWriter(ABC):
    """What kinds of model in this process have in common; ``batch`` prompts are answered at once.

    Batches depend on the prompts alone, not on what is done already, so that a run that was killed
    and goes on gives the answers of one that was not.
    """

    batch: int
    model: Any
    tokenizer: Any
    cancelled = False

    @abstractmethod
    def encode(self, prompts: Sequence[list[Turn]]) -> list[list[int]]:
        """Return the token ids of each prompt, unpadded."""

    @abstractmethod
    def room(self) -> int:
        """Return how many prompt tokens fit."""

    @abstractmethod
    def answer(self, encoded: list[list[int]], seeds: list[int]) -> list[Answer]:
        """Answer one batch of encoded prompts."""

    def write(
        self, prompts: Sequence[list[Turn]], seeds: Sequence[int], done: Container[int] = ()
    ) -> Iterator[tuple[int, Answer]]:
        """Answer prompts; see :meth:`clipdiff.writers.base.Writer.write`.

        A prompt that does not fit gets an empty answer with finish reason ``length``.
        """
        encoded, room = self.encode(prompts), self.room()
        fitting = []
        for row, ids in enumerate(encoded):
            if len(ids) <= room:
                fitting.append(row)
            else:
                yield row, Answer("", "length", len(ids), 0)
        for rows in length_sorted_batches(fitting, encoded, self.batch):
            if self.cancelled:
                return
            if any(row not in done for row in rows):
                answers = self.answer([encoded[r] for r in rows], [seeds[r] for r in rows])
                yield from zip(rows, answers, strict=True)

    def cancel(self) -> None:
        """Begin no other batch."""
        self.cancelled = True

    def close(self) -> None:
        """Drop the model."""
        del self.model


def length_sorted_batches(
    rows: Sequence[int], encoded: Sequence[list[int]], size: int
) -> Iterator[list[int]]:
    """Yield batches of rows of like prompt length, so that little is padding."""
    ordered = sorted(rows, key=lambda row: len(encoded[row]))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
