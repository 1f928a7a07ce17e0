"""Do an LLM's texts turn round with the images? Pairs asked about in both orders tell."""

import math
import re
from collections import Counter
from collections.abc import Set

import pandas as pd

IMAGES = ("first", "second")
OTHER = ("instead", "than")  # what follows is the other image's, up to the next mark or image
COMMON = 0.15  # words in a larger share of captions tell no images apart

Said = set[tuple[int, str]]  # image 0 or 1, and a word said of it


def swap_consistency(texts: pd.DataFrame, swaps: pd.DataFrame, pairs: pd.DataFrame) -> float:
    """Return the share of pairs whose text turns round, of those where it can be told.

    Args:
        texts: ``pair_id`` and ``difference``.
        swaps: ``pair_id`` and ``text``, the answer with the images in the other order.
        pairs: ``data/pairs.parquet``, whose captions say which words belong to which image.

    Returns:
        0 to 1; nan where nothing can be told.
    """
    both = texts.merge(swaps, on="pair_id").merge(pairs, on="pair_id")
    if both.empty:
        return math.nan
    captions = [_words(text) for side in ("caption_1", "caption_2") for text in pairs[side]]
    counts = Counter(word for words in captions for word in words)
    common = {word for word, count in counts.items() if count > COMMON * len(captions)}
    columns = ("difference", "text", "caption_1", "caption_2")
    turned = []
    for text, swapped, *captions_of in zip(*(both[name] for name in columns), strict=True):
        telling = (_words(captions_of[0]) ^ _words(captions_of[1])) - common
        turned.append(turns_round(text, swapped, telling))
    told = [each for each in turned if each is not None]
    return sum(told) / len(told) if told else math.nan


def turns_round(text: str, swapped: str, telling: Set[str]) -> bool | None:
    """Return whether a text says of one image what another says of the other; None if unclear.

    Args:
        text: about a pair.
        swapped: about the same images in the other order.
        telling: words that belong to one of the images.
    """
    here, there = said_of_images(text, telling), said_of_images(swapped, telling)
    turned = _jaccard(here, {(1 - image, word) for image, word in there})
    stayed = _jaccard(here, there)
    return None if turned == stayed else turned > stayed


def said_of_images(text: str, telling: Set[str]) -> Said:
    """Return the telling words, each with the image named last before it."""
    image, other, said = 0, 0, set()
    for token in re.findall(r"\w+|[.,;!?]", text.lower()):
        if token in IMAGES:
            image, other = IMAGES.index(token), 0
        elif token in OTHER:
            other = 1
        elif token in ".,;!?":
            other = 0
        elif token in telling:
            said.add((image ^ other, token))
    return said


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _jaccard(one: Said, two: Said) -> float:
    return len(one & two) / len(one | two) if one | two else 0.0
