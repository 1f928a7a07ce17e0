"""Encoder-decoder models such as T5: the prompt is encoded, the answer decoded from scratch."""

from collections.abc import Sequence

from transformers import AutoModelForSeq2SeqLM

from clipdiff.writers.local.decoding import DecodingWriter, context_room
from clipdiff.prompts import Turn, as_text


class Seq2SeqWriter(DecodingWriter):
    """``AutoModelForSeq2SeqLM``."""

    auto = AutoModelForSeq2SeqLM
    padding_side = "right"

    def encode(self, prompts: Sequence[list[Turn]]) -> list[list[int]]:
        """Return token ids with the tokenizer's end token."""
        return self.tokenizer([as_text(turns) for turns in prompts]).input_ids

    def room(self) -> int:
        """The whole encoder is the prompt's."""
        return context_room(self, 0)

    def prompt_columns(self, width: int) -> int:
        """``generate`` returns the decoder's start token before the answer."""
        return 1
