"""Draw the embedded default's images: one sheet of emoji sprites per artwork set.

The four npm tarballs are fetched with::

    npm pack @iconify-json/noto@1.2.9 @iconify-json/fluent-emoji@1.2.7 \
             @iconify-json/twemoji@1.2.5 emojibase-data@17.0.0

and ``python -m clipdiff.demo_models.build_sprites FOLDER`` (with ``pip install resvg-py``) redraws
``assets/``. The result is shipped, so nobody needs to run this to use clipdiff.
"""

import csv
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

from PIL import Image

from clipdiff.demo.scenes import SHEET_COLUMNS, SPRITE_PIXELS, STYLES
from clipdiff.demo_models.checksums import write_checksums
from clipdiff.shipped import ASSETS

TARBALLS = {
    "noto": "iconify-json-noto-1.2.9.tgz",
    "fluent": "iconify-json-fluent-emoji-1.2.7.tgz",
    "twemoji": "iconify-json-twemoji-1.2.5.tgz",
}
EMOJIBASE = "emojibase-data-17.0.0.tgz"

NAMES = """
monkey gorilla dog poodle wolf fox raccoon cat lion tiger leopard horse unicorn zebra deer bison
cow pig ram goat camel giraffe elephant rhinoceros mouse rabbit hedgehog bat koala panda sloth
kangaroo turkey rooster penguin duck swan owl flamingo peacock parrot frog crocodile turtle
snake dragon whale dolphin fish shark octopus crab lobster snail butterfly honeybee spider rose
sunflower tulip cactus mushroom palm-tree maple-leaf shamrock grapes watermelon tangerine lemon
banana pineapple pear peach strawberry tomato coconut avocado eggplant carrot broccoli bread
croissant pretzel hamburger pizza taco egg popcorn doughnut cookie cupcake lollipop teapot bus
ambulance taxi tractor motorcycle bicycle sailboat airplane helicopter rocket anchor umbrella
snowman balloon trophy basketball bowling guitar trumpet violin drum saxophone jeans dress crown
top-hat glasses backpack hammer scissors key bell candle camera television pencil telescope
magnet bomb
""".split()  # noqa: SIM905

IRREGULAR_PLURALS = {
    "wolf": "wolves", "mouse": "mice", "goose": "geese", "fish": "fish", "deer": "deer",
    "bison": "bison", "grapes": "bunches of grapes", "jeans": "pairs of jeans",
    "glasses": "pairs of glasses", "scissors": "pairs of scissors", "bread": "loaves of bread",
    "popcorn": "boxes of popcorn", "broccoli": "heads of broccoli", "bowling": "bowling balls",
    "cactus": "cacti", "octopus": "octopuses", "rhinoceros": "rhinoceroses",
    "maple leaf": "maple leaves", "tomato": "tomatoes", "snowman": "snowmen", "bus": "buses",
}  # fmt: skip
SINGULARS = {
    "grapes": "bunch of grapes", "jeans": "pair of jeans", "glasses": "pair of glasses",
    "scissors": "pair of scissors", "bread": "loaf of bread", "popcorn": "box of popcorn",
    "broccoli": "head of broccoli", "bowling": "bowling ball",
}  # fmt: skip
KINDS = {
    "animal": "animal", "plant": "plant", "food": "food", "transport": "vehicle",
    "clothing": "clothing", "musical": "instrument", "sport": "toy", "dishware": "food",
    "drink": "food",
}  # fmt: skip


def plural(name: str) -> str:
    """Return the English plural of an object name."""
    if name in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[name]
    if name.endswith(("s", "x", "ch", "sh")):
        return name + "es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + "s"


def read_member(tarball: Path, member: str) -> Any:
    """Read one JSON file out of an npm tarball."""
    with tarfile.open(tarball) as archive:
        stream = archive.extractfile(f"package/{member}")
        if stream is None:
            raise ValueError(f"{tarball}: {member} is no file")
        return json.load(stream)


def draw(icons: dict[str, Any], slug: str) -> Image.Image:
    """Render one SVG body of an iconify set as an RGBA sprite."""
    import resvg_py

    icon = icons["icons"][slug]
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="256" height="256">{icon["body"]}</svg>'
    )
    png = resvg_py.svg_to_bytes(svg_string=svg, width=256, height=256)
    image = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    image = image.crop(image.getbbox())  # the sets pad differently: crop, then refit
    image.thumbnail((SPRITE_PIXELS, SPRITE_PIXELS), Image.Resampling.LANCZOS)
    sprite = Image.new("RGBA", (SPRITE_PIXELS, SPRITE_PIXELS), (0, 0, 0, 0))
    width, height = image.size
    sprite.paste(image, ((SPRITE_PIXELS - width) // 2, (SPRITE_PIXELS - height) // 2))
    return sprite


def build(folder: Path) -> None:
    """Write the sheets, the object table and the checksums into ``assets/``."""
    rows = -(-len(NAMES) // SHEET_COLUMNS)
    for style in STYLES:
        icons = read_member(folder / TARBALLS[style], "icons.json")
        sheet = Image.new("RGBA", (SHEET_COLUMNS * SPRITE_PIXELS, rows * SPRITE_PIXELS))
        for index, slug in enumerate(NAMES):
            row, column = divmod(index, SHEET_COLUMNS)
            sheet.paste(draw(icons, slug), (column * SPRITE_PIXELS, row * SPRITE_PIXELS))
        sheet.save(ASSETS / f"sprites-{style}.png", optimize=True)
    emoji = {
        entry["label"].replace(" ", "-").lower(): entry
        for entry in read_member(folder / EMOJIBASE, "en/data.json")
    }
    messages = read_member(folder / EMOJIBASE, "en/messages.json")
    subgroups = {entry["order"]: entry["key"] for entry in messages["subgroups"]}
    with open(ASSETS / "objects.csv", "w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["name", "singular", "plural", "kind", "tags"])
        for slug in NAMES:
            name = slug.replace("-", " ")
            kind = KINDS.get(subgroups[emoji[slug]["subgroup"]].split("-")[0], "tool")
            tags = " ".join(tag for tag in emoji[slug]["tags"] if tag not in name)
            writer.writerow([name, SINGULARS.get(name, name), plural(name), kind, tags])
    write_checksums()


if __name__ == "__main__":
    build(Path(sys.argv[1]))
