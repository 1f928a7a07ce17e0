"""Causal models such as Llama 2: the answer goes on where the prompt ends."""

import copy
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

from clipdiff.prompts import Prompt, Turn
from clipdiff.settings import Generate
from clipdiff.writers.local.decoding import DecodingModel, DecodingWriter, render_chat

if TYPE_CHECKING:
    from transformers import DynamicCache

SHORTEST_PREFIX = 16  # tokens; below, sharing them gains nothing


class Causal(DecodingModel):
    """A causal model, with the tokenizer's own chat template where it has one."""

    kind: Literal["causal"] = "causal"

    def open(self, generate: Generate, prompt: Prompt) -> "CausalWriter":
        """Load the model; see :meth:`clipdiff.writers.base.WriterEntry.open`."""
        return CausalWriter(self, generate, prompt)

    def preview(self, turns: list[Turn]) -> str:
        """Return a conversation in the chat template."""
        return render_chat(self.tokenizer(), turns)


class CausalWriter(DecodingWriter):
    """``AutoModelForCausalLM``.

    What all prompts of a batch begin with (instruction, examples) runs through the model once.
    """

    auto = "AutoModelForCausalLM"
    padding_side = "left"  # so that all answers of a batch begin in the same column
    prefix: list[int] | None = None  # of the newest batch
    cache: "DynamicCache | None" = None  # what the model keeps of it, for one row

    def encode(self, prompts: Sequence[list[Turn]]) -> list[list[int]]:
        """Return token ids; a chat template brings the special tokens itself."""
        texts = [render_chat(self.tokenizer, turns) for turns in prompts]
        plain = self.tokenizer.chat_template is None
        return self.tokenizer(texts, add_special_tokens=plain).input_ids

    def room(self) -> int:
        """Prompt and answer share the context."""
        return self.context() - self.max_new_tokens

    def prompt_columns(self, width: int) -> int:
        """``generate`` returns the prompt before the answer."""
        return width

    def inputs(self, encoded: list[list[int]]) -> dict[str, Any]:
        """Return padded ids (N, L) and their mask, with the cache of a prefix that all share.

        Padding stands between the prefix and what is each prompt's own; positions count by the
        mask, so it is not seen.
        """
        import torch

        prefix = shared_prefix(encoded)
        if len(encoded) == 1 or len(prefix) < SHORTEST_PREFIX:
            return super().inputs(encoded)
        own = super().inputs([ids[len(prefix) :] for ids in encoded])
        head = own["input_ids"].new_tensor(prefix).expand(len(encoded), -1)
        return {
            "input_ids": torch.cat([head, own["input_ids"]], 1),
            "attention_mask": torch.cat([torch.ones_like(head), own["attention_mask"]], 1),
            "past_key_values": self._prefix_cache(prefix, len(encoded)),
        }

    def _prefix_cache(self, prefix: list[int], rows: int) -> "DynamicCache":
        import torch

        if self.prefix != prefix:
            ids = torch.tensor([prefix], device=self.model.device)
            self.prefix, self.cache = prefix, self.model(ids, use_cache=True).past_key_values
        cache = copy.deepcopy(self.cache)
        assert cache is not None
        cache.batch_repeat_interleave(rows)
        return cache


def shared_prefix(encoded: Sequence[list[int]]) -> list[int]:
    """Return what all prompts begin with, less than the whole of any."""
    least, most = min(encoded), max(encoded)  # in the order of a dictionary
    same = takewhile(lambda pair: pair[0] == pair[1], zip(least, most, strict=False))
    return [token for token, _ in same][: min(map(len, encoded)) - 1]
