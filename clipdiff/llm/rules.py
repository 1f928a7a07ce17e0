"""Why a text is dropped: small checks, none of them written for one model's failures."""

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Sequence

URL_CODE_MARKUP = re.compile(
    r"https?://|www\.\w|```|</?[a-zA-Z][^>]*>|\{[^}]*[:;=][^}]*\}|\\[a-z]+\{|^\s*#{1,6} |"
    r"\b(def|class|function) ?\w*\(|\bclass \w+:|\breturn [^.]*;|\w\(\);|\[/?INST\]|<\|",
    re.MULTILINE,
)
META = re.compile(
    r"\bI('m| am)? (cannot|can't|can not|sorry|unable|apologi[sz]e|hope|would be happy)|"
    r"\b(as|I'm|I am) an? (AI|language model|assistant)|\bI (do not|don't) have\b|\bI hope this|"
    r"\b(let me know|feel free|please (note|provide|let))\b|"
    r"^(sure|certainly|of course|okay|yes|no)[,!.]|^here (is|are|'s)\b",
    re.IGNORECASE,
)
FIRST = re.compile(r"\b(first|former|(image|picture|photo|caption) (1|one|a)|left)\b", re.I)
SECOND = re.compile(
    r"\b(second|latter|other|another|(image|picture|photo|caption) (2|two|b)|right)\b", re.I
)
COMPARISON = re.compile(
    r"\b(than|instead of|rather than|whereas|while|unlike|compared|both|neither|differ\w*|same|"
    r"more|less|fewer|equal|alike|larger|smaller|bigger|taller|shorter|darker|brighter|lighter|"
    r"older|younger|closer|farther|wider|narrower|higher|lower|warmer|colder)\b",
    re.I,
)
SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)]*(?=\s|$)")
WORD = re.compile(r"\w[\w'’-]*")
MIN_ZLIB_CHARACTERS = 60  # shorter texts are dominated by zlib's own header
COPIED_SHARE = 0.8  # of a text's 3-grams that stand in one caption
FUNCTION_WORDS = {
    "en": "the a an of and is are in on with than to it has there while second first",
    "de": "der die das und ist sind ein eine einen mit auf dem den nicht als während zweite erste",
    "fr": "le la les un une des et est sont avec sur dans que du au tandis deuxième première",
    "es": "el la los las un una y es son con en que del mientras segunda primera imagen",
    "it": "il lo la gli le un una e è sono con su di che nel mentre seconda prima",
    "pt": "o a os as um uma e é são com em que do da enquanto segunda primeira",
    "nl": "de het een en is zijn met op van dan terwijl tweede eerste niet",
}
LANGUAGES = {name: frozenset(words.split()) for name, words in FUNCTION_WORDS.items()}
MIN_FUNCTION_WORDS = 3


def clean(text: str) -> str:
    """Put a text on one line, without control characters and quotes around the whole."""
    visible = "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(visible.split())
    quoted = re.fullmatch(r"[\"“'‘](.*)[\"”'’]", line)
    return quoted[1].strip() if quoted and not re.search(r"[\"“”]", quoted[1]) else line


def whole_sentences(text: str) -> list[str]:
    """Return the finished sentences of a text; what comes after the last is left out."""
    ends = [end.end() for end in SENTENCE_END.finditer(text)]
    starts = [0, *ends]
    return [text[start:end].strip() for start, end in zip(starts, ends, strict=False)]


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return WORD.findall(text.lower())


def trigrams(text: str) -> list[tuple[str, ...]]:
    """Return the word 3-grams of a text, in order."""
    tokens = words(text)
    return list(zip(tokens, tokens[1:], tokens[2:], strict=False))


def is_repetitive(text: str, max_repeat: float, min_compression: float) -> bool:
    """Say whether 3-grams come again and again, or zlib finds little in the text."""
    grams = trigrams(text)
    if grams and 1 - len(set(grams)) / len(grams) > max_repeat:
        return True
    if len(text) < MIN_ZLIB_CHARACTERS:
        return False
    data = text.encode()
    return len(zlib.compress(data)) / len(data) < min_compression


def copies(text: str, captions: Sequence[str]) -> bool:
    """Say whether a text is one of the captions, or little else."""
    grams = trigrams(text)
    for caption in captions:
        if words(text) == words(caption):
            return True
        original = set(trigrams(caption))
        if grams and sum(gram in original for gram in grams) / len(grams) >= COPIED_SHARE:
            return True
    return False


def mentions_both(text: str) -> bool:
    """Say whether a text speaks of both images, by name or by comparing."""
    return bool(COMPARISON.search(text) or (FIRST.search(text) and SECOND.search(text)))


def script(text: str) -> str | None:
    """Return the commonest script of a text's letters (``LATIN``, ``CJK``, ...)."""
    letters = Counter(
        unicodedata.name(c, "UNKNOWN").split(" ")[0].split("-")[0] for c in text if c.isalpha()
    )
    return letters.most_common(1)[0][0] if letters else None


def language(text: str) -> str | None:
    """Guess a text's language by its function words; None where they don't say."""
    counts = Counter(words(text))
    scores = sorted(
        (sum(counts[w] for w in function), name) for name, function in LANGUAGES.items()
    )
    (second, _), (best, name) = scores[-2:]
    return name if best >= MIN_FUNCTION_WORDS and best > 1.5 * second else None
