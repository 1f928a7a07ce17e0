"""The captions table of the embedded default."""

import io
import json
import random

import pandas as pd

from clipdiff.settings import Data
from clipdiff.demo.corpus import draw_scene
from clipdiff.demo.scenes import HELD_OUT_STYLE, TRAIN_STYLES, Scene, caption, render


def demo_captions(data: Data) -> pd.DataFrame:
    """Draw and render the scenes of all splits.

    Returns:
        The columns of ``data/captions.parquet``: train and validation scenes and ``test_scenes``
        (held-out combinations) in the two training styles, ``test_style`` in the third.
    """
    splits = [
        ("train", "train", TRAIN_STYLES, data.train_images),
        ("validation", "validation", TRAIN_STYLES, data.validation_images),
        ("test_scenes", "test", TRAIN_STYLES, data.test_images),
        ("test_style", "test", (HELD_OUT_STYLE,), data.test_images),
    ]
    rng = random.Random(data.seed)
    rows = [
        _row(split, draw_scene(rng, part, styles))
        for split, part, styles, count in splits
        for _ in range(count)
    ]
    table = pd.DataFrame(rows)
    table.insert(0, "image_id", range(len(table)))
    return table


def _row(split: str, scene: Scene) -> dict[str, object]:
    stream = io.BytesIO()
    render(scene).save(stream, format="PNG")
    attributes = {
        "object": scene.name,
        "size": scene.size,
        "count": scene.count,
        "background": scene.background,
        "style": scene.style,
    }
    return {
        "image": stream.getvalue(),
        "path": None,
        "caption": caption(scene),
        "split": split,
        "label": scene.name,
        "attributes": json.dumps(attributes),
    }
