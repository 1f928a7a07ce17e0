"""How many tokens of a text the CLIP to finetune reads: its tokenizer alone, not its weights."""

import html
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clipdiff.errors import ModelError
from clipdiff.llm.rules import whole_sentences
from clipdiff.settings import Clip

LOCAL_DIR = "local-dir:"
DEFAULT_LIMIT = 77  # open_clip's, where a config says nothing
PLAIN_CLASSES = ("TokenizersBackend", "PreTrainedTokenizerFast")  # tokenizer.json is all of them
# what else tokenizer_config.json may say without changing how a text is cut into tokens
HARMLESS = {"backend", "tokenizer_class", "model_max_length", "padding_side", "truncation_side"}
HARMLESS |= {"clean_up_tokenization_spaces", "is_local"}
Count = Callable[[str], int]


class TextContext:
    """The length limit of one CLIP's text tower."""

    def __init__(self, clip: Clip):
        """Load the tokenizer; without open_clip, which imports torch, if a folder holds enough.

        Raises:
            ModelError: there is no such CLIP.
            ConfigError: none of that name is shipped.
        """
        folder = clip_folder(clip)
        plain = plain_tokenizer(folder) if folder else None
        self.count, self.limit = plain or open_clip_tokenizer(clip)

    def fits(self, text: str) -> bool:
        """Whether the text tower reads the whole text."""
        return self.count(text) <= self.limit

    def cut(self, text: str) -> str:
        """Return the longest run of whole sentences from the start that fits; may be empty."""
        sentences = whole_sentences(text)
        while sentences and not self.fits(" ".join(sentences)):
            sentences.pop()
        return " ".join(sentences)


def clip_folder(clip: Clip) -> Path | None:
    """Return the folder of a CLIP; None where it has open_clip's or the hub's name.

    Raises:
        ConfigError: no CLIP of that name is shipped.
    """
    name = clip.open_clip_name
    return Path(name.removeprefix(LOCAL_DIR)) if name.startswith(LOCAL_DIR) else None


def plain_tokenizer(folder: Path) -> tuple[Count, int] | None:
    """Return how a folder's CLIP counts tokens, and its limit; None where only open_clip can say.

    A ``tokenizer.json`` is enough where no class of transformers adds to it, and where
    open_clip cleans texts in its usual way.
    """
    names = ("open_clip_config.json", "tokenizer_config.json", "tokenizer.json")
    if not all((folder / name).is_file() for name in names) or (folder / "config.json").exists():
        return None
    try:
        model, config, words = (json.loads((folder / name).read_text()) for name in names)
    except ValueError:  # open_clip says what is wrong
        return None
    tower = model.get("model_cfg", {}).get("text_cfg", {})
    if not tower.get("hf_tokenizer_name") or tower.get("tokenizer_mode"):
        return None
    if tower.get("tokenizer_kwargs") or not _is_plain(config, words):
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    limit = tower.get("context_length", DEFAULT_LIMIT)
    return lambda text: len(tokenizer.encode(_clean(text)).ids), limit


def _is_plain(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> bool:
    """Whether a tokenizer's config adds nothing to its ``tokenizer.json``."""
    special = {token["content"] for token in tokenizer.get("added_tokens", []) if token["special"]}
    return config.get("tokenizer_class") in PLAIN_CLASSES and all(
        name in HARMLESS or (name.endswith("_token") and value in special)
        for name, value in config.items()
    )


def _clean(text: str) -> str:
    """Mend encoding, entities and white space: what open_clip does before it cuts into tokens."""
    import ftfy

    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split())


def open_clip_tokenizer(clip: Clip) -> tuple[Count, int]:
    """Return how open_clip counts tokens, start and end included, and its limit.

    Raises:
        ModelError: there is no such CLIP.
    """
    import open_clip
    from open_clip.tokenizer import get_clean_fn

    try:
        with _without_commentary():
            tokenizer: Any = open_clip.get_tokenizer(clip.open_clip_name)
    except Exception as error:  # open_clip and the hub share no base class
        raise ModelError(f"clip.model '{clip.model}': no tokenizer: {error}") from error
    if hasattr(tokenizer, "encode"):  # open_clip's own byte-pair encoding, which cleans by itself
        return lambda text: len(tokenizer.encode(text)) + 2, tokenizer.context_length
    clean = getattr(tokenizer, "clean_fn", get_clean_fn("canonicalize"))  # SigLIP names none

    def count(text: str) -> int:
        return len(tokenizer.tokenizer(clean(text), verbose=False).input_ids)

    return count, tokenizer.context_length


@contextmanager
def _without_commentary() -> Iterator[None]:
    """Keep what open_clip says of every step, on the root logger, out of the log."""

    def is_ours(record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO or "open_clip" not in record.pathname

    logging.root.addFilter(is_ours)
    try:
        yield
    finally:
        logging.root.removeFilter(is_ours)
