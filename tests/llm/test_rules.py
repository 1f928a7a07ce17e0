"""Why texts are dropped: each reason by itself, and what must not be dropped."""

import pytest

from clipdiff.llm import rules
from clipdiff.llm.text_context import TextContext
from clipdiff.llm.text_filter import TextFilter
from clipdiff.settings import Clip, Filter

CAPTIONS = (
    "two small foxes sit on a red sofa in the sun",
    "a huge dog is asleep in front of a blue wall and it is alone",
)
GOOD = "The first shows two small foxes, while the second shows a huge dog in front of a wall."


@pytest.fixture(scope="module")
def context() -> TextContext:
    return TextContext(Clip(model="demo:clip"))


@pytest.fixture
def screen(context):
    """Return a function that screens one answer."""

    def screening(text, finish_reason="stop", compares=True, captions=CAPTIONS, **changes):
        text_filter = TextFilter(Filter(**changes), context, captions, compares)
        return text_filter.screen(text, finish_reason, captions if compares else captions[:1])

    return screening


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("  \n\t\u200b ", "empty"),
        ("... !!", "empty"),
        ("More foxes there.", "short"),
        ("The first has a fox and a fox and a fox and a fox and a fox and a fox.", "repetition"),
        ("The first shows " + "ha" * 90 + " and more.", "repetition"),
        ("The first differs from the second, see https://example.org/a", "markup"),
        ("```python\nfirst != second and more\n```", "markup"),
        ("The first shows <b>foxes</b>, the second a dog.", "markup"),
        ("I cannot compare the first and the second picture.", "meta"),
        ("As an AI language model, I see more foxes in the first.", "meta"),
        ("Sure! The first shows foxes, the second a dog.", "meta"),
        ("The first shows foxes, the second a dog. I hope this helps!", "meta"),
        ("На первой картинке две лисы, на второй собака.", "script"),
        ("Das erste Bild zeigt zwei Füchse und das zweite einen Hund auf dem Sofa.", "language"),
        ("Two small foxes sit on a red sofa in the sun.", "copy"),
        ("A huge dog is asleep in front of a blue wall and it is alone", "copy"),
        ("The first picture shows foxes on a sofa.", "one_picture"),
        ("There is a small red animal on the sofa.", "one_picture"),
    ],
)  # fmt: skip
def test_reasons(screen, text, reason) -> None:
    screening = screen(text)
    assert screening.drop_reason == reason
    assert not screening.truncated


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "There are more objects in the first.",
        "The background is red instead of blue.",
        "The café in the first is *bigger* — and its owner is naïve — than in the second.",
        "The first shows a class of pupils, the second one function room; import is no matter.",
        "The first has a dog on the left and the second a cat on the right.",
        "The first is on a red background, the second on a blue one. They are larger in the first.",
    ],
)
def test_good_texts_are_kept_as_they_are(screen, text) -> None:
    screening = screen(text)
    assert (screening.text, screening.drop_reason, screening.truncated) == (text, None, False)


def test_newlines_never_join_words() -> None:
    assert rules.clean("a fox\nand\r\n\r\na\tdog\x00here\u2028now") == "a fox and a dog here now"
    assert rules.clean('"The first is red."') == "The first is red."
    assert rules.clean('"A" is not "B"') == '"A" is not "B"'


def test_token_limit_cuts_back_to_the_last_sentence(screen) -> None:
    screening = screen(f"{GOOD} Also, the first is", "length")
    assert (screening.text, screening.drop_reason) == (GOOD, None)
    assert (
        screen("The first shows two small foxes, while the", "length").drop_reason == "token_limit"
    )
    assert screen("", "length").drop_reason == "empty"


def test_text_context_cuts_at_a_sentence(screen, context) -> None:
    many = " ".join(
        f"The first has {n} foxes on a {c} sofa, the second only a dog."
        for n, c in enumerate(["red", "green", "blue", "black", "white", "pink", "purple"], 2)
    )
    assert not context.fits(many)
    screening = screen(many)
    assert screening.truncated
    assert context.fits(screening.text)
    assert many.startswith(screening.text)
    assert screening.text.endswith("dog.")
    assert not context.fits(many[: len(screening.text) + 62])
    endless = "The first has more, that is " + ", ".join(f"{n}{n} x{n * 7}" for n in range(40))
    assert screen(endless).drop_reason == "context"


def test_rewrites_need_not_compare(screen) -> None:
    text = "A pair of little foxes sits on a couch of red colour."
    assert screen(text, compares=False).drop_reason is None
    assert screen(text).drop_reason == "one_picture"
    assert screen(text, require_both=False).drop_reason is None


def test_filter_off_keeps_all_but_nothing(screen) -> None:
    assert screen("I cannot do it", enabled=False).drop_reason is None
    assert screen("fox fox fox fox fox fox fox", enabled=False).drop_reason is None
    assert screen(" \n", enabled=False).drop_reason == "empty"


def test_thresholds_are_settings(screen) -> None:
    text = "The first has a fox and a fox and a dog; the second a cat."
    assert screen(text, max_repeat=0.1).drop_reason == "repetition"
    assert screen(text, max_repeat=0.9).drop_reason is None
    assert screen(GOOD, min_words=40).drop_reason == "short"
    assert screen(GOOD, min_compression=0.99).drop_reason == "repetition"


def test_the_language_expected_is_that_of_the_captions(screen) -> None:
    captions = (
        "ein kleiner Hund liegt auf dem roten Sofa und die Sonne scheint",
        "das ist eine große Katze, die nicht auf der Wand ist",
    )
    german = "Das erste Bild ist rot und zeigt einen Hund, während das zweite die Katze zeigt."
    assert screen(german, captions=captions, require_both=False).drop_reason is None
    assert screen(GOOD, captions=captions).drop_reason in (None, "language")
    assert rules.language("zwei Hunde") is None
