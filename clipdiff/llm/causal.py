"""Causal models such as Llama 2: the answer goes on where the prompt ends."""

from collections.abc import Sequence

from transformers import AutoModelForCausalLM

from clipdiff.llm.decoding import DecodingWriter, context_room
from clipdiff.llm.prompts import Turn, as_text


class CausalWriter(DecodingWriter):
    """``AutoModelForCausalLM``, with the tokenizer's own chat template where it has one."""

    auto = AutoModelForCausalLM
    padding_side = "left"  # so that all answers of a batch begin in the same column

    def encode(self, prompts: Sequence[list[Turn]]) -> list[list[int]]:
        """Return token ids; a chat template brings the special tokens itself."""
        if self.tokenizer.chat_template is None:
            return self.tokenizer([as_text(turns) for turns in prompts]).input_ids
        texts = [
            self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            for turns in prompts
        ]
        return self.tokenizer(texts, add_special_tokens=False).input_ids

    def room(self) -> int:
        """Prompt and answer share the context."""
        return context_room(self, self.max_new_tokens)

    def prompt_columns(self, width: int) -> int:
        """``generate`` returns the prompt before the answer."""
        return width
