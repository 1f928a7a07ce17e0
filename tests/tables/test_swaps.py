"""The swap test: texts that turn round with the images, and texts that do not."""

import math

import pandas as pd
import pytest

from clipdiff.tables.reading.swaps import said_of_images, swap_consistency, turns_round

TELLING = {"fox", "red", "dog", "blue"}
SAID = "The first shows a fox on red, the second a dog on blue."


@pytest.mark.parametrize(
    ("swapped", "expected"),
    [
        ("The first shows a dog on blue, while the second has a fox on red.", True),
        ("A dog instead of a fox; and the first is blue, the second red.", True),
        ("The first shows a fox on red, while the second has a dog.", False),
        ("They differ.", None),
    ],
)
def test_turning_round(swapped: str, expected: bool | None) -> None:
    assert turns_round(SAID, swapped, TELLING) is expected


def test_words_go_to_the_image_named_last_or_compared_with() -> None:
    text = "It is red instead of blue, and a fox. The second has a dog, bluer than red."
    assert said_of_images(text, TELLING) == {
        (0, "red"), (1, "blue"), (0, "fox"), (1, "dog"), (0, "red"),
    }  # fmt: skip


def test_consistency_counts_what_can_be_told() -> None:
    names = ["fox", "dog", "key", "owl", "bus", "bee", "cat", "ant", "emu", "hen"]
    pairs = pd.DataFrame(
        {
            "pair_id": range(9),
            "caption_1": [f"a {name}" for name in names[:9]],
            "caption_2": [f"a {name}" for name in names[1:]],
        }
    )
    texts = pairs.assign(
        difference="The first is " + pairs["caption_1"] + ", the second " + pairs["caption_2"]
    )
    turned = "The first is a key, the second a dog."
    swaps = pd.DataFrame({"pair_id": [1, 0, 2], "text": [turned, texts["difference"][0], "Well."]})
    assert swap_consistency(texts[["pair_id", "difference"]], swaps, pairs) == 0.5
    assert math.isnan(swap_consistency(texts, swaps.head(0), pairs))
