"""What every kind of LLM offers: answers to rendered prompts, however they are batched."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from clipdiff.config.sections import LLM, Generate
from clipdiff.llm.prompts import Prompt, Turn


@dataclass(frozen=True)
class Answer:
    """One answer as the model gave it; ``length`` means that it ran into the token limit."""

    text: str
    finish_reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int


class Writer(Protocol):
    """One loaded model or one connection. Made once a job, closed at its end."""

    def __init__(self, definition: LLM, generate: Generate, prompt: Prompt) -> None:
        """Load or connect.

        Raises:
            ModelError: the model can't be loaded, or does not fit its kind.
            GenerationError: the server can't be reached.
        """

    def write(self, prompts: Sequence[list[Turn]], seeds: Sequence[int]) -> list[Answer]:
        """Answer each prompt.

        Args:
            prompts: N conversations, each ending with the question.
            seeds: N seeds; with sampling, an answer depends on its own seed only.

        Returns:
            N answers in the order of the prompts.

        Raises:
            GenerationError: the server refuses, or fails again and again.
        """

    def close(self) -> None:
        """Release what the writer holds."""


def row_seed(seed: int, row_id: int) -> int:
    """Return a row's own seed, 0 to 2^31 - 1: the same in whatever batch or shard it is drawn."""
    digest = hashlib.sha256(f"{seed}/{row_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    """Cut a text at the first stop string in it."""
    return text[: min([found for s in stop if (found := text.find(s)) >= 0], default=len(text))]
