"""Training text and scenes for the demo's small models, split so that nothing leaks.

Every (object, size, count, background) combination belongs to one part by a hash; models are
pretrained on the ``train`` part in the training styles only.
"""

import random
import zlib

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


def draw_scene(rng: random.Random, wanted: str, styles: tuple[str, ...] = TRAIN_STYLES) -> Scene:
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
        if part(scene) == wanted:
            return scene


def draw_other(rng: random.Random, scene: Scene, wanted: str) -> Scene:
    """Draw a second scene that shares each of the first one's attributes now and then."""
    while True:
        other = draw_scene(rng, wanted)
        kept = {
            field: getattr(scene, field)
            for field in ("name", "size", "count", "background")
            if rng.random() < 0.15
        }
        other = other._replace(**kept)
        if part(other) == wanted and other[:4] != scene[:4]:
            return other


def difference_examples(count: int, seed: int) -> list[tuple[str, str, str, str]]:
    """Return ``count`` tuples (caption_1, caption_2, difference, filled scaffold)."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        first = draw_scene(rng, "train")
        second = draw_other(rng, first, "train")
        texts = caption(first), caption(second)
        rows.append((*texts, describe(first, second, rng), fill_scaffold(first, second)))
    return rows
