"""One text through the filter: cleaned, and kept or dropped with the reason."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clipdiff.llm import rules
from clipdiff.llm.text_context import TextContext
from clipdiff.settings import Filter


@dataclass(frozen=True)
class Screening:
    """What becomes of one text; ``drop_reason`` is None for one that is kept."""

    text: str
    drop_reason: str | None
    truncated: bool


class TextFilter:
    """The filter of one run.

    Reasons, in the order of the checks: ``empty``, ``token_limit`` (stopped in its first sentence),
    ``short``, ``repetition``, ``markup`` (code, markup, URL), ``meta`` (refusal, talk about
    itself), ``script``, ``language``, ``copy`` (of one caption), ``one_picture``, ``context`` (its
    first sentence is longer than the text tower reads).
    """

    def __init__(
        self, settings: Filter, context: TextContext, captions: Iterable[str], compares: bool
    ):
        """Learn script and language from the captions.

        Args:
            settings: the filter section.
            context: how much the text tower reads.
            captions: what the LLM was asked about.
            compares: the texts are differences, not reworded captions.
        """
        captions = list(captions)
        self.settings, self.context, self.compares = settings, context, compares
        self.script = _commonest(map(rules.script, captions))
        self.language = _commonest(map(rules.language, captions))

    def screen(self, text: str, finish_reason: str, captions: Sequence[str]) -> Screening:
        """Clean and check one answer, given what it was asked about."""
        text = rules.clean(text)
        if finish_reason == "length" and text and self.settings.enabled:
            whole = " ".join(rules.whole_sentences(text))
            if not whole:
                return Screening(text, "token_limit", False)
            text = whole
        reason = self._reason(text, captions) if self.settings.enabled else None
        if not text or reason:
            return Screening(text, reason or "empty", False)
        if self.context.fits(text):
            return Screening(text, None, False)
        cut = self.context.cut(text)
        return Screening(cut or text, None if cut else "context", bool(cut))

    def _reason(self, text: str, captions: Sequence[str]) -> str | None:
        settings = self.settings
        if not any(c.isalnum() for c in text):
            return "empty"
        if len(rules.words(text)) < settings.min_words:
            return "short"
        if rules.is_repetitive(text, settings.max_repeat, settings.min_compression):
            return "repetition"
        if rules.URL_CODE_MARKUP.search(text):
            return "markup"
        if rules.META.search(text):
            return "meta"
        if self.script and rules.script(text) != self.script:
            return "script"
        if self.language and rules.language(text) not in (None, self.language):
            return "language"
        if self.compares and rules.copies(text, captions):
            return "copy"
        if self.compares and settings.require_both and not rules.mentions_both(text):
            return "one_picture"
        return None


def _commonest(values: Iterable[str | None]) -> str | None:
    counts = Counter(value for value in values if value)
    return counts.most_common(1)[0][0] if counts else None
