"""What the kit is given: tiny models, a server, a split of attributed images."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_writers import entry, models, server  # noqa: F401 - fixtures

from clipdiff.tasks.measuring.splits import Split, make_splits

NAMES = ["fox", "palm tree", "boat", "apple", "drum", "owl"]
SIZES = ["small", "medium", "large"]
COLOURS = ["red", "green", "blue", "black"]


@pytest.fixture(scope="session")
def splits() -> dict[str, Split]:
    """Two splits of attributed images of six classes."""
    rng = np.random.default_rng(0)
    rows = []
    for split, count in (("validation", 60), ("test_scenes", 90)):
        for place in range(count):
            name, size, colour = NAMES[place % 6], rng.choice(SIZES), rng.choice(COLOURS)
            number = int(rng.integers(1, 4))
            attributes = {"object": name, "size": size, "count": number, "background": colour}
            caption = f"{number} {size} {name} on {colour}, image {len(rows)}"
            rows.append([caption, split, name, json.dumps(attributes)])
    table = pd.DataFrame(rows, columns=["caption", "split", "label", "attributes"])
    table.insert(0, "image_id", np.arange(len(table)) * 3 + 7)
    cut = make_splits(table, ["validation", "test_scenes"], Path("captions.parquet"))
    return {split.name: split for split in cut}
