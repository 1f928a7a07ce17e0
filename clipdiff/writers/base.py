"""What every LLM is made of: the settings of an entry of ``llm_definitions``, and its writer."""

import hashlib
import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Protocol

from pydantic import AfterValidator, Field

from clipdiff.errors import ConfigError
from clipdiff.prompts import Prompt, Turn
from clipdiff.registry import Entry, Registry
from clipdiff.settings import Compute, FilterChanges, Generate, Positive, Price, Values
from clipdiff.shipped import path_of

if TYPE_CHECKING:
    import pandas as pd

EXPECTED_SHARE = 0.5  # of max_new_tokens


def _shipped_if_demo(name: str) -> str:
    try:
        path_of(name)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return name


ModelName = Annotated[str, AfterValidator(_shipped_if_demo)]
"""A model of ``save_pretrained``'s format: its hub name, its folder, or ``demo:NAME``."""

Finding = tuple[bool, str]
"""Whether something is in order, and what it is."""


@dataclass(frozen=True)
class Answer:
    """One answer as the model gave it; ``length`` means that it ran into the token limit."""

    text: str
    finish_reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int


class Writer(Protocol):
    """One loaded model or one connection. Made once a job, closed at its end."""

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
        ...

    def cancel(self) -> None:
        """Ask nothing more: ``write`` yields what is under way and ends."""

    def close(self) -> None:
        """Release what the writer holds."""


class WriterEntry(Entry):
    """One entry of ``llm_definitions``: who writes differences."""

    room: ClassVar[str] = "clipdiff.writers"
    is_asked: ClassVar[bool] = True
    """Whether it answers questions; a table of texts does not."""
    rewrites: ClassVar[bool] = True
    """Whether it can reword captions."""

    model: str = Field(description="which model")
    filter: FilterChanges = Field(
        default_factory=FilterChanges,
        exclude=True,  # it does not change what the model is asked
        description="keys of the section filter that differ for this entry's answers",
    )

    @property
    def token_price(self) -> Price | None:
        """What its tokens cost; None: nothing, or it is not known."""
        return None

    @property
    def answers_of(self) -> str | None:
        """Name of the entry whose answers it takes; None where it gives its own."""
        return None

    @property
    def prompt_name(self) -> str | None:
        """Name of its prompt file; None where nothing is asked."""
        return None

    @property
    def folder(self) -> Path | None:
        """Folder of the model that runs on this machine; None: it is elsewhere, or is none.

        Raises:
            ConfigError: the model is ``demo:NAME``, and none of that name is shipped.
        """
        return None

    @property
    def runs_here(self) -> bool:
        """Whether this machine computes the answers, not a server elsewhere."""
        return True

    @property
    def expected_tokens(self) -> float:
        """Tokens of a usual answer, for estimates."""
        return 0.0

    def open(self, generate: Generate, prompt: Prompt) -> Writer:
        """Load the model, or connect to its server.

        Raises:
            ConfigError: the entry is not asked.
            ModelError: the model can't be loaded, or does not fit its kind.
            GenerationError: the server can't be reached.
        """
        raise ConfigError(f"an entry of kind '{self.kind}' is not asked")

    def own_answers(self, pairs: "pd.DataFrame") -> "pd.DataFrame":
        """Return texts that are there already, where the entry is not asked.

        Args:
            pairs: ``data/pairs.parquet``.

        Returns:
            ``pair_id`` (int64) and ``text``, in the order of the pairs; maybe not of all.

        Raises:
            ConfigError: the entry has none of its own.
            DataError: they are missing or broken.
        """
        raise ConfigError(f"an entry of kind '{self.kind}' has no texts of its own")

    def identity(self) -> Values:
        """Return what, beside prompt, sampling, question and seed, determines an answer."""
        return self.result()

    def preview(self, turns: list[Turn]) -> str:
        """Return a conversation exactly as the model gets it.

        Raises:
            ConfigError: nothing is asked.
            ModelError: the model's tokenizer is not there.
        """
        raise ConfigError(f"an entry of kind '{self.kind}' asks nothing")

    def findings(self) -> Iterator[Finding]:
        """Yield what ``clipdiff check`` says of it, without loading a model."""
        yield True, self.model

    def parameters(self) -> int | None:
        """Return the number of parameters that run on this machine; None if that is not known."""
        files = sorted(self.folder.glob("*.safetensors")) if self.folder else []
        return sum(map(count_parameters, files)) or None


class AskedWriter(WriterEntry):
    """A model that answers prompts."""

    prompt: str = Field("plain", description="a file of clipdiff/prompts, without .yaml, or a path")
    batch: Compute[Positive] = Field(
        64, description="prompts answered at once; changes answers by rounding only"
    )

    @property
    def prompt_name(self) -> str | None:
        """The prompt."""
        return self.prompt

    def identity(self) -> Values:
        """Return the settings, without the prompt's name: what it says counts."""
        facts = self.result()
        del facts["prompt"]
        return facts


class TokenWriter(AskedWriter):
    """A model that writes its answers token by token."""

    max_new_tokens: Positive = Field(96, description="most tokens of an answer")

    @property
    def expected_tokens(self) -> float:
        """Half of what is allowed."""
        return EXPECTED_SHARE * self.max_new_tokens


WRITERS = Registry(WriterEntry)


def row_seed(seed: int, row_id: int) -> int:
    """Return a row's own seed, 0 to 2^31 - 1: the same in whatever batch or shard it is drawn."""
    digest = hashlib.sha256(f"{seed}/{row_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    """Cut a text at the first stop string in it."""
    return text[: min([place for s in stop if (place := text.find(s)) >= 0], default=len(text))]


def count_parameters(weights: Path) -> int:
    """Return how many numbers a safetensors file holds, without reading them."""
    from safetensors import safe_open

    with safe_open(weights, framework="numpy") as tensors:
        names = tensors.keys()
        return sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)
