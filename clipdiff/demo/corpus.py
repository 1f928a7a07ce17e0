"""Training text and scenes for the demo's small models, split so that nothing leaks.

Every (object, size, count, background) combination belongs to one part by a hash; models are
pretrained on the ``train`` part in the training styles only.
"""

import random
import zlib
from collections.abc import Sequence

from clipdiff.demo.differences import describe, fill_scaffold
from clipdiff.demo.scenes import (
    BACKGROUNDS,
    COUNT_WORDS,
    SIZES,
    TRAIN_STYLES,
    Scene,
    caption,
    objects,
)


def part(scene: Scene) -> str:
    """Return the part (train, validation or test) to which a scene's combination belongs."""
    key = f"{scene.name}/{scene.size}/{scene.count}/{scene.background}"
    draw = zlib.crc32(key.encode()) % 10
    return "test" if draw == 0 else "validation" if draw == 1 else "train"


def draw_scene(
    rng: random.Random, which_part: str, styles: tuple[str, ...] = TRAIN_STYLES
) -> Scene:
    """Draw a random scene of one part."""
    while True:
        scene = Scene(
            name=rng.choice(list(objects())),
            size=rng.choice(list(SIZES)),
            count=rng.choice(list(COUNT_WORDS)),
            background=rng.choice(list(BACKGROUNDS)),
            style=rng.choice(styles),
            seed=rng.randrange(2**31),
        )
        if part(scene) == which_part:
            return scene


# How many attributes the scenes of a pair share. Pairs that differ in little teach a small model
# one skill at a time; real pairs share what chance gives them.
EASY_PAIRS = (0, 0, 1, 2, 3)
REAL_PAIRS = (0, 0, 0, 0, 1)


def draw_other(
    rng: random.Random, scene: Scene, which_part: str, shared: Sequence[int] = EASY_PAIRS
) -> Scene:
    """Draw a second scene that shares one of ``shared`` attributes, or more, with the first."""
    while True:
        names = rng.sample(("name", "size", "count", "background"), rng.choice(shared))
        other = draw_scene(rng, which_part)._replace(
            **{name: getattr(scene, name) for name in names}
        )
        if part(other) == which_part and other[:4] != scene[:4]:
            return other


def difference_examples(
    count: int, seed: int, shared: Sequence[int] = EASY_PAIRS
) -> list[tuple[str, str, str, str]]:
    """Return ``count`` tuples (caption_1, caption_2, difference, filled scaffold)."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        first = draw_scene(rng, "train")
        second = draw_other(rng, first, "train", shared)
        texts = caption(first), caption(second)
        rows.append((*texts, describe(first, second, rng), fill_scaffold(first, second)))
    return rows
