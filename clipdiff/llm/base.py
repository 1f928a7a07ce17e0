"""What every kind of LLM offers: answers to rendered prompts, however they are batched."""

import hashlib
from collections.abc import Container, Iterator, Sequence
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

    def write(
        self,
        prompts: Sequence[list[Turn]],
        seeds: Sequence[int],
        done: Container[int] = frozenset(),
    ) -> Iterator[tuple[int, Answer]]:
        """Answer prompts, and yield each answer as soon as it is there.

        A model in this process may answer a prompt of ``done`` again, so that its batches are the
        same whatever was done before; a server is never asked again.

        Args:
            prompts: N conversations, each ending with the question.
            seeds: N seeds; with sampling, an answer depends on its own seed only.
            done: places of prompts that have an answer already.

        Yields:
            Place among the prompts, and the answer; in any order.

        Raises:
            GenerationError: the server refuses, or fails again and again; what was under way has
                been yielded before.
        """

    def cancel(self) -> None:
        """Ask nothing more: ``write`` yields what is under way and ends."""

    def close(self) -> None:
        """Release what the writer holds."""


def row_seed(seed: int, row_id: int) -> int:
    """Return a row's own seed, 0 to 2^31 - 1: the same in whatever batch or shard it is drawn."""
    digest = hashlib.sha256(f"{seed}/{row_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    """Cut a text at the first stop string in it."""
    return text[: min([found for s in stop if (found := text.find(s)) >= 0], default=len(text))]
