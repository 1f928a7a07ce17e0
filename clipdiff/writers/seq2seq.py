"""Encoder-decoder models such as T5: the prompt is encoded, the answer decoded from scratch."""

from collections.abc import Sequence
from typing import Literal

from clipdiff.prompts import Prompt, Turn, as_text
from clipdiff.settings import Generate
from clipdiff.writers.local.decoding import DecodingModel, DecodingWriter


class Seq2Seq(DecodingModel):
    """An encoder-decoder model; it gets the conversation as one text."""

    kind: Literal["seq2seq"] = "seq2seq"

    def open(self, generate: Generate, prompt: Prompt) -> "Seq2SeqWriter":
        """Load the model; see :meth:`clipdiff.writers.base.WriterEntry.open`."""
        return Seq2SeqWriter(self, generate, prompt)

    def preview(self, turns: list[Turn]) -> str:
        """Return a conversation as one text."""
        return as_text(turns)


class Seq2SeqWriter(DecodingWriter):
    """``AutoModelForSeq2SeqLM``."""

    auto = "AutoModelForSeq2SeqLM"
    padding_side = "right"

    def encode(self, prompts: Sequence[list[Turn]]) -> list[list[int]]:
        """Return token ids with the tokenizer's end token."""
        return self.tokenizer([as_text(turns) for turns in prompts]).input_ids

    def room(self) -> int:
        """The whole encoder is the prompt's."""
        return self.context()

    def prompt_columns(self, width: int) -> int:
        """``generate`` returns the decoder's start token before the answer."""
        return 1
