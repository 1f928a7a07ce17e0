"""A contact sheet: images in a grid, each with its legend below, to be looked at by people."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from PIL import Image, ImageDraw, ImageFont

from clipdiff.files import written_whole

COLUMNS, SIDE, GAP = 4, 256, 12
LETTERS, LINE = 44, 13  # a legend's line, in letters across and pixels down


def sheet_path(metrics: Path, split: str, weights: str) -> Path:
    """Return where the images of one split and weight setting go, beside a metrics file."""
    return metrics.with_suffix(".pictures") / f"{quote(split, safe='')}-{weights}.png"


def write_sheet(path: Path, images: Sequence[tuple[Image.Image, str]]) -> None:
    """Write images with their legends as one PNG."""
    with written_whole(path) as scratch:
        draw_sheet(images).save(scratch, format="PNG")


def draw_sheet(images: Sequence[tuple[Image.Image, str]]) -> Image.Image:
    """Draw images, each scaled into a square, with their legends: at least one."""
    legends = [_wrapped(legend) for _, legend in images]
    step_x = SIDE + GAP
    step_y = SIDE + GAP + LINE * max(legend.count("\n") + 1 for legend in legends)
    columns = min(COLUMNS, len(images))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * step_x + GAP, rows * step_y + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for place, ((image, _), legend) in enumerate(zip(images, legends, strict=True)):
        left = GAP + place % columns * step_x
        top = GAP + place // columns * step_y
        scale = SIDE / max(image.size)
        width, height = (max(round(side * scale), 1) for side in image.size)
        sheet.paste(image.resize((width, height)), (left, top))
        draw.multiline_text((left, top + SIDE), legend, fill="black", font=font, spacing=2)
    return sheet


def _wrapped(legend: str) -> str:
    lines = (textwrap.wrap(line, LETTERS) for line in legend.splitlines())
    return "\n".join(line for part in lines for line in part)
