"""The plugin's own tests run uninstalled, too; and a listing of a few images."""

import sys
from pathlib import Path

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "src"))


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    """Twelve images of two classes."""
    rows = ["image,label,caption,split"]
    for shade in range(12):
        colour = "red" if shade % 2 else "blue"
        pixel = (20 * shade, 0, 0) if shade % 2 else (0, 0, 20 * shade)
        Image.new("RGB", (32, 32), pixel).save(tmp_path / f"{shade}.png")
        split = "validation" if shade < 4 else "test"
        rows.append(f"{shade}.png,{colour},a {colour} of shade {shade},{split}")
    path = tmp_path / "listing.csv"
    path.write_text("\n".join(rows) + "\n")
    return path
