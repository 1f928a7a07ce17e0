"""Is a text true? Its claims, checked against the attributes of the images that it speaks of.

The vocabulary comes from the captions table: an attribute ``count`` holds numbers, ``size`` one of
small, medium, large; every other attribute is nominal, and a text claims one of its values by
naming it (in any inflection, in full or by its last word). Which image a claim is about follows
the wording: "in the second" right after it; else the last of "first" and "second" before it; the
other one after "instead of" and "than"; the first where a clause names none, for a text says how
the first differs.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

Attributes = Mapping[str, Any]

SIZES = {
    "small": 0, "little": 0, "tiny": 0, "medium": 1, "large": 2, "big": 2, "huge": 2,
}  # fmt: skip
NUMBERS = {
    "one": 1, "single": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10,
}  # fmt: skip
COMPARATIVES = {
    "more": ("count", 1), "fewer": ("count", -1), "less": ("count", -1), "equal": ("count", 0),
    "larger": ("size", 1), "bigger": ("size", 1), "smaller": ("size", -1), "tinier": ("size", -1),
    "alike": ("size", 0),
}  # fmt: skip
IRREGULAR = {
    "mice": "mouse", "geese": "goose", "feet": "foot", "teeth": "tooth", "children": "child",
    "people": "person", "men": "man",
}  # fmt: skip
NOT_A_NUMBER_AFTER = {"a", "an", "the", "this", "that", "each", "every"}  # "the red one"
CLAUSE_END = re.compile(r"[.;!?]|, (?:and|but)\b")
COMPARED = re.compile(r"[.;!?,]|\bwhile\b|\bwhereas\b|\bbut\b")
TOKEN = re.compile(r"\w+")


class Claim(NamedTuple):
    """One of these values of an attribute, claimed of image 1 or 2."""

    side: int
    attribute: str
    values: frozenset[str]


class Vocabulary:
    """The words for every nominal attribute's values in a table."""

    def __init__(self, rows: Iterable[Attributes]):
        """Collect the values of all images' attributes."""
        values = defaultdict(set)
        for row in rows:
            for name, value in row.items():
                if name not in ("count", "size") and isinstance(value, str):
                    values[name].add(value)
        self.phrases: dict[tuple[str, ...], tuple[str, frozenset[str]]] = {}
        heads: dict[tuple[str, str], set[str]] = defaultdict(set)
        for name in sorted(values):
            for value in sorted(values[name]):
                spelt = tuple(TOKEN.findall(value.lower()))
                self.phrases[spelt] = (name, frozenset([value]))
                heads[name, spelt[-1]].add(value)
        for (name, head), meanings in heads.items():
            self.phrases.setdefault((head,), (name, frozenset(meanings)))
        self.longest = max(map(len, self.phrases), default=0)
        self.nominal = {word for phrase in self.phrases for word in phrase}

    def at(self, tokens: list[str], place: int) -> tuple[int, str, frozenset[str]] | None:
        """Return the longest value named at a place: its length, attribute and values."""
        for length in range(min(self.longest, len(tokens) - place), 0, -1):
            before, last = tokens[place : place + length - 1], tokens[place + length - 1]
            for singular in singulars(last):
                meaning = self.phrases.get((*before, singular))
                if meaning:
                    return length, *meaning
        return None


def singulars(word: str) -> Iterator[str]:
    """Yield what a word may be the plural of, itself first."""
    yield word
    if word in IRREGULAR:
        yield IRREGULAR[word]
    endings = {"ies": ("y",), "ves": ("f", "fe"), "es": ("", "e"), "s": ("",), "i": ("us",)}
    endings["men"] = ("man",)
    for plural, singular in endings.items():
        if word.endswith(plural) and len(word) > len(plural) + 1:
            for ending in singular:
                yield word.removesuffix(plural) + ending


def read_attributes(cell: Any) -> dict[str, Any] | None:
    """Read a cell of the attributes column: a JSON object, or nothing."""
    if not isinstance(cell, str):
        return None
    try:
        value = json.loads(cell)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def is_true(
    text: str, first: Attributes, second: Attributes, vocabulary: Vocabulary
) -> bool | None:
    """Check a text against both images; None where it claims nothing that can be checked.

    Args:
        text: says how the first image differs from the second.
        first: the first image's attributes.
        second: the second's; the first's again if the text is a caption.
        vocabulary: of the whole table.
    """
    text = text.lower()
    holds = [
        str(sides[claim.attribute]) in claim.values
        for clause in CLAUSE_END.split(text)
        for claim in claims(clause, vocabulary)
        if claim.attribute in (sides := (first, second)[claim.side - 1])
    ]
    for clause in COMPARED.split(text):
        holds += comparisons(clause, first, second, vocabulary)
    return all(holds) if holds else None


def claims(clause: str, vocabulary: Vocabulary) -> Iterator[Claim]:
    """Yield the values that a clause claims of one image or the other."""
    tokens = TOKEN.findall(clause)
    side, once, place = 1, None, 0
    while place < len(tokens):
        word, step = tokens[place], 1
        phrase = vocabulary.at(tokens, place)
        if phrase:
            step, attribute, values = phrase
            yield Claim(named_after(tokens, place, vocabulary) or once or side, attribute, values)
            once = None
        elif word in ("first", "second"):
            side, once = (1 if word == "first" else 2), None
        elif word in ("instead", "rather"):
            once = 3 - side
        elif word == "than":
            side, once = 3 - side, None
        elif word in SIZES:
            same = frozenset(w for w in SIZES if SIZES[w] == SIZES[word])
            yield Claim(named_after(tokens, place, vocabulary) or side, "size", same)
        elif word.isdigit() or (word in NUMBERS and _counts(tokens, place, vocabulary)):
            number = frozenset([str(NUMBERS.get(word, word))])
            yield Claim(named_after(tokens, place, vocabulary) or side, "count", number)
        place += step


def named_after(tokens: list[str], place: int, vocabulary: Vocabulary) -> int | None:
    """Return the image of "two small foxes in the first", from anywhere in the noun phrase."""
    while place < len(tokens):
        phrase = vocabulary.at(tokens, place)
        if not phrase and tokens[place] not in SIZES and tokens[place] not in NUMBERS:
            break
        place += phrase[0] if phrase else 1
    if tokens[place : place + 2] != ["in", "the"]:
        return None
    return {"first": 1, "second": 2}.get(" ".join(tokens[place + 2 : place + 3]))


def _counts(tokens: list[str], place: int, vocabulary: Vocabulary) -> bool:
    """Tell "has one" from "the red one"."""
    before = tokens[place - 1] if place else ""
    if tokens[place] != "one":
        return True
    return not (before in NOT_A_NUMBER_AFTER or before in SIZES or before in vocabulary.nominal)


def comparisons(
    clause: str, first: Attributes, second: Attributes, vocabulary: Vocabulary
) -> Iterator[bool]:
    """Yield, for each comparative of a clause, whether it holds."""
    tokens = TOKEN.findall(clause)
    for place, word in enumerate(tokens):
        if word not in COMPARATIVES or not _compares_images(tokens, place):
            continue
        attribute, direction = COMPARATIVES[word]
        one, other = (_rank(attribute, side.get(attribute)) for side in (first, second))
        if one is None or other is None:
            continue
        sign = (one > other) - (one < other)
        yield direction == (sign if _subject(tokens) == 1 else -sign)


def _compares_images(tokens: list[str], place: int) -> bool:
    """Tell "more foxes" from "more colourful", and "equal" from "equal in size"."""
    after = tokens[place + 1] if place + 1 < len(tokens) else "than"
    if tokens[place] == "more":
        plural = after.endswith("s") and not after.endswith("ous")
        return plural or after in ("than", "of", "in")
    return True


def _subject(tokens: list[str]) -> int:
    """Return the image of which a clause says more or less."""
    named = [(place, word) for place, word in enumerate(tokens) if word in ("first", "second")]
    if "than" in tokens:
        cut = tokens.index("than")
        before = [word for place, word in named if place < cut]
        after = [word for place, word in named if place > cut]
        if not before and after:
            return 1 if after[0] == "second" else 2
        named = [(0, word) for word in before]
    return 2 if named and named[-1][1] == "second" else 1


def _rank(attribute: str, value: Any) -> float | None:
    if attribute == "size":
        return SIZES.get(str(value))
    return float(value) if isinstance(value, int | float) else None
