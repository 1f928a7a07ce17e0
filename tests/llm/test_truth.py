"""The checker: what is true by construction is true, and any changed word makes it false."""

import random

import pytest

from clipdiff.demo.corpus import draw_other, draw_scene
from clipdiff.demo.differences import describe, fill_scaffold
from clipdiff.demo.scenes import BACKGROUNDS, Scene, caption, objects
from clipdiff.llm.truth import Vocabulary, is_true, read_attributes, singulars
from clipdiff.writers.masked import sentence_case

KNOWN = Vocabulary(
    [{"object": name} for name in objects()] + [{"background": name} for name in BACKGROUNDS]
)
COUNT = 400


def attributes(scene: Scene) -> dict:
    """The scene's row of the attributes column."""
    return {"object": scene.name, "size": scene.size, "count": scene.count,
            "background": scene.background, "style": scene.style}  # fmt: skip


@pytest.fixture(scope="module")
def scenes() -> list[tuple[Scene, Scene, str, str]]:
    """Pairs of scenes with a difference in varied words and a filled scaffold."""
    rng = random.Random(11)
    rows = []
    for _ in range(COUNT):
        first = draw_scene(rng, "train")
        second = draw_other(rng, first, "train")
        filled = sentence_case(fill_scaffold(first, second))
        rows.append((first, second, describe(first, second, rng), filled))
    return rows


@pytest.mark.parametrize("text", [2, 3], ids=["describe", "scaffold"])
def test_true_texts_are_true_and_swapped_ones_false(scenes, text) -> None:
    for row in scenes:
        first, second = map(attributes, row[:2])
        assert is_true(row[text], first, second, KNOWN) is True, row
        assert is_true(row[text], second, first, KNOWN) is False, row


def test_one_changed_attribute_makes_a_text_false(scenes) -> None:
    """Of each claim by itself: no claim is overlooked."""
    others = {"object": list(objects()), "background": list(BACKGROUNDS)}
    rng = random.Random(1)
    for first, second, text, _ in scenes:
        for name, values in others.items():
            sides = [attributes(first), attributes(second)]
            if sides[0][name] == sides[1][name]:
                continue
            which = rng.randrange(2)
            ends = {value.split()[-1] for value in (side[name] for side in sides)}
            sides[which][name] = rng.choice([v for v in values if v.split()[-1] not in ends])
            assert is_true(text, *sides, KNOWN) is False, (text, sides)


def test_captions_are_true_of_their_pictures(scenes) -> None:
    for first, second, _, _ in scenes:
        facts = attributes(first)
        assert is_true(caption(first), facts, facts, KNOWN) is True
        if first.name != second.name:
            other = facts | {"object": second.name}
            assert is_true(caption(first), other, other, KNOWN) is False


FOX = {"object": "fox", "size": "large", "count": 2, "background": "red"}
DOG = {"object": "dog", "size": "small", "count": 3, "background": "blue"}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("The first has 2 foxes, the second 3 dogs.", True),
        ("The first has two foxes, the second two dogs.", False),
        ("Instead of dogs, the first shows foxes.", True),
        ("The second has more animals than the first.", True),
        ("The second has fewer animals than the first.", False),
        ("There are more objects than in the first.", True),
        ("The foxes in the first are bigger than the dogs in the second.", True),
        ("The first shows big foxes and the second tiny dogs.", True),
        ("The first shows tiny foxes.", False),
        ("There are two foxes in the first and three dogs in the second.", True),
        ("There is a dog in the first and a fox in the second.", False),
        ("The first is more colourful.", None),
        ("They differ.", None),
        ("", None),
    ],
)
def test_other_wordings(text, verdict) -> None:
    assert is_true(text, FOX, DOG, KNOWN) is verdict


def test_attributes_that_are_missing_are_not_judged() -> None:
    assert is_true("The first shows foxes.", {"count": 2}, {"count": 1}, KNOWN) is None
    assert is_true("The first has more foxes.", {"count": 2}, {"count": 1}, KNOWN) is True
    assert read_attributes(None) is None
    assert read_attributes("{broken") is None
    assert read_attributes("[1]") is None


@pytest.mark.parametrize("entry", objects().values(), ids=lambda entry: entry.name)
def test_every_plural_is_recognised(entry) -> None:
    words = entry.plural.split()
    assert any(KNOWN.at(words, place) for place in range(len(words))), entry
    assert entry.name in {
        value
        for place in range(len(words))
        if (found := KNOWN.at(words, place))
        for value in found[2]
    }


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("wolves", "wolf"),
        ("knives", "knife"),
        ("cacti", "cactus"),
        ("mice", "mouse"),
        ("boxes", "box"),
        ("cherries", "cherry"),
        ("firemen", "fireman"),
    ],
)
def test_singulars(plural, singular) -> None:
    assert singular in set(singulars(plural))
