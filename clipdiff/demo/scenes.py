"""Emoji scenes: the images of the embedded default, and the words that describe them.

A scene is some object, drawn one to three times, in one of three sizes, on one of eight
backgrounds, in one of three drawing styles. All of it follows from a ``Scene`` and its seed.
"""

import csv
import random
from functools import cache
from typing import NamedTuple

from PIL import Image

from clipdiff.shipped import ASSETS

STYLES = ("noto", "fluent", "twemoji")
TRAIN_STYLES = ("noto", "fluent")
HELD_OUT_STYLE = "twemoji"
SPRITE_PIXELS = 64
SHEET_COLUMNS = 12
SCENE_PIXELS = 128

SIZES = {"small": 33, "medium": 45, "large": 61}  # edge in pixels of a 128-pixel scene
SIZE_WORDS = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium-sized", "mid-sized"),
    "large": ("large", "big", "huge"),
}
COUNT_WORDS = {1: ("one", "a single"), 2: ("two", "a pair of"), 3: ("three", "a trio of")}
BACKGROUNDS = {
    "red": (222, 70, 66), "pink": (246, 168, 190), "yellow": (248, 224, 96),
    "green": (110, 190, 100), "blue": (84, 140, 226), "purple": (160, 104, 200),
    "white": (246, 246, 246), "black": (36, 36, 40),
}  # fmt: skip

CAPTIONS = (
    "{count} {size} {name} on a {background} background",
    "{count} {size} {name} in front of a {background} wall",
    "a picture of {count} {size} {name} on {background}",
    "a {background} picture with {count} {size} {name}",
    "on a {background} background there is {count} {size} {name}",
    "an emoji scene: {count} {size} {name}, everything behind is {background}",
    "{count} {name}, {size}, on a {background} background",
    "{count} {size} {name} ({kind}) on a {background} background",
)


class DemoObject(NamedTuple):
    """One nameable object: a row of ``assets/objects.csv``."""

    name: str
    singular: str
    plural: str
    kind: str
    tags: str


class Scene(NamedTuple):
    """The attributes of one image; ``seed`` places the sprites and words the caption."""

    name: str
    size: str
    count: int  # type: ignore[assignment]  # tuple.count is never called
    background: str
    style: str
    seed: int


@cache
def objects() -> dict[str, DemoObject]:
    """Return the object table by name, in sheet order."""
    with open(ASSETS / "objects.csv", newline="") as handle:
        return {row["name"]: DemoObject(**row) for row in csv.DictReader(handle)}


@cache
def sprite(style: str, name: str) -> Image.Image:
    """Return one object's RGBA sprite in one style, 64 x 64 pixels."""
    row, column = divmod(list(objects()).index(name), SHEET_COLUMNS)
    left, top = column * SPRITE_PIXELS, row * SPRITE_PIXELS
    return _sheet(style).crop((left, top, left + SPRITE_PIXELS, top + SPRITE_PIXELS))


@cache
def _sheet(style: str) -> Image.Image:
    with Image.open(ASSETS / f"sprites-{style}.png") as sheet:
        return sheet.convert("RGBA")


def render(scene: Scene) -> Image.Image:
    """Draw a scene as a 128 x 128 RGB image."""
    rng = random.Random(scene.seed)
    shade = [
        max(0, min(255, value + rng.randint(-10, 10))) for value in BACKGROUNDS[scene.background]
    ]
    image = Image.new("RGB", (SCENE_PIXELS, SCENE_PIXELS), tuple(shade))
    edge = SIZES[scene.size] + rng.randint(-2, 2)
    own_sprite = sprite(scene.style, scene.name).resize((edge, edge), Image.Resampling.LANCZOS)
    half = SCENE_PIXELS // 2
    for cell in rng.sample(range(4), scene.count):
        row, column = divmod(cell, 2)
        free = half - edge
        place = (column * half + rng.randint(0, free), row * half + rng.randint(0, free))
        image.paste(own_sprite, place, own_sprite)
    return image


def noun(scene: Scene) -> str:
    """Return the object's name in the scene's number."""
    entry = objects()[scene.name]
    return entry.singular if scene.count == 1 else entry.plural


def caption(scene: Scene) -> str:
    """Describe a scene in words that vary with its seed."""
    rng = random.Random(scene.seed + 1)
    return rng.choice(CAPTIONS).format(
        count=rng.choice(COUNT_WORDS[scene.count]),
        size=rng.choice(SIZE_WORDS[scene.size]),
        name=noun(scene),
        background=scene.background,
        kind=objects()[scene.name].kind,
    )
