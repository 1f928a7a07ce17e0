"""The embedded default: emoji scenes, drawn as they are asked for."""

import io
import json
import random
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from clipdiff import shipped
from clipdiff.datasets.base import DatasetEntry

if TYPE_CHECKING:
    import pandas as pd

    from clipdiff.demo.scenes import Scene


class Demo(DatasetEntry):
    """Emoji scenes with captions, classes and attributes; they need no download."""

    kind: Literal["demo"] = "demo"

    trains: ClassVar[bool] = True

    def captions(self, counts: Mapping[str, int], seed: int) -> "pd.DataFrame":
        """Draw and render the scenes of all splits.

        Returns:
            Train and validation scenes and ``test_scenes`` (held-out combinations) in the two
            training styles, ``test_style`` in the third; ``test`` counts each of these two.
        """
        import pandas as pd

        from clipdiff.demo.corpus import draw_scene
        from clipdiff.demo.scenes import HELD_OUT_STYLE, TRAIN_STYLES

        splits = [
            ("train", "train", TRAIN_STYLES, counts["train"]),
            ("validation", "validation", TRAIN_STYLES, counts["validation"]),
            ("test_scenes", "test", TRAIN_STYLES, counts["test"]),
            ("test_style", "test", (HELD_OUT_STYLE,), counts["test"]),
        ]
        rng = random.Random(seed)
        rows = [
            _row(split, draw_scene(rng, part, styles))
            for split, part, styles, count in splits
            for _ in range(count)
        ]
        table = pd.DataFrame(rows)
        table.insert(0, "image_id", range(len(table)))
        return table

    def findings(self) -> Iterator[tuple[bool, str]]:
        """Yield every shipped file that has changed, or that none has."""
        damage = shipped.damage()
        for name in damage:
            yield False, f"demo: {name} is not as it was shipped, by its checksum; install again"
        if not damage:
            yield True, "demo needs no download; what it ships is whole by its checksums"


def _row(split: str, scene: "Scene") -> dict[str, object]:
    from clipdiff.demo.scenes import caption, render

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
