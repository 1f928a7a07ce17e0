"""A writer without a model: the words that only one of two captions has."""

import random
import re
from collections.abc import Container, Iterator, Sequence
from typing import ClassVar

from pydantic import Field

from clipdiff.prompts import Prompt, Turn
from clipdiff.settings import Generate
from clipdiff.writers.base import Answer, AskedWriter, Writer

CAPTIONS = re.compile(r"(?:First|Second)[^:\n]*:\s*(.+)")


class Rules(AskedWriter):
    """Says which words the first caption has that the second has not, and the other way round."""

    rewrites: ClassVar[bool] = False

    kind: str = "rules"
    model: str = "words"
    prompt: str = "completion"
    most_words: int = Field(6, ge=1, description="of either caption")

    def open(self, generate: Generate, prompt: Prompt) -> Writer:
        """Return the rule; at a temperature above 0 it shuffles the words."""
        return WordRule(self.most_words, shuffles=generate.temperature > 0)

    def preview(self, turns: list[Turn]) -> str:
        """Return the question."""
        return turns[-1]["content"]


class WordRule:
    """The rule at work."""

    def __init__(self, most_words: int, shuffles: bool):
        self.most_words, self.shuffles = most_words, shuffles
        self.cancelled = False

    def write(
        self,
        prompts: Sequence[list[Turn]],
        seeds: Sequence[int],
        done: Container[int] = frozenset(),
    ) -> Iterator[tuple[int, Answer]]:
        """Answer what is not done, one by one."""
        for place, (turns, seed) in enumerate(zip(prompts, seeds, strict=True)):
            if self.cancelled:
                return
            if place not in done:
                yield place, self._answer(turns[-1]["content"], seed)

    def _answer(self, question: str, seed: int) -> Answer:
        captions = CAPTIONS.findall(question)[-2:] or [question, ""]
        first, second = (caption.lower().split() for caption in (*captions, "")[:2])
        rng = random.Random(seed)
        parts = []
        for words, others in ((first, second), (second, first)):
            own = [word for word in words if word not in others][: self.most_words]
            if self.shuffles:
                rng.shuffle(own)
            parts.append(" ".join(own) or "nothing of its own")
        text = f"The first image shows {parts[0]}, while the second image shows {parts[1]}."
        return Answer(text, "stop", len(question.split()), len(text.split()))

    def cancel(self) -> None:
        """Answer nothing more."""
        self.cancelled = True

    def close(self) -> None:
        """Hold nothing."""
