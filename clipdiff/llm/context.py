"""How many tokens of a text the CLIP to finetune reads: its tokenizer alone, not its weights."""

import logging
from collections.abc import Callable
from typing import Any

from clipdiff.settings import Clip
from clipdiff.errors import ModelError
from clipdiff.llm.rules import whole_sentences


class TextContext:
    """The length limit of one CLIP's text tower."""

    def __init__(self, clip: Clip):
        """Load the tokenizer.

        Raises:
            ModelError: there is no such CLIP.
        """
        import open_clip

        logging.disable(logging.INFO)  # open_clip comments every step on the root logger
        try:
            tokenizer = open_clip.get_tokenizer(clip.model)
        except Exception as error:  # open_clip and the hub share no base class
            raise ModelError(f"clip.model '{clip.model}': no tokenizer: {error}") from error
        finally:
            logging.disable(logging.NOTSET)
        self.limit: int = tokenizer.context_length
        self.count: Callable[[str], int] = _counter(tokenizer)

    def fits(self, text: str) -> bool:
        """Say whether the text tower reads the whole text."""
        return self.count(text) <= self.limit

    def cut(self, text: str) -> str:
        """Return the longest run of whole sentences from the start that fits; may be empty."""
        sentences = whole_sentences(text)
        while sentences and not self.fits(" ".join(sentences)):
            sentences.pop()
        return " ".join(sentences)


def _counter(tokenizer: Any) -> Callable[[str], int]:
    """Return a function that counts the tokens of an uncut text, start and end included."""
    if hasattr(tokenizer, "encode"):  # open_clip's own byte-pair encoding
        return lambda text: len(tokenizer.encode(text)) + 2
    return lambda text: len(tokenizer.tokenizer(text, verbose=False).input_ids)
