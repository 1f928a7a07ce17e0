"""By which text each item was scored: found again from settings and data, without a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clipdiff.config.stages import EvaluateSettings
from clipdiff.tasks.clip_score import ClipScore
from clipdiff.tasks.difference_classification import DifferenceClassification
from clipdiff.tasks.geometry import Geometry
from clipdiff.evaluate.run import settings_of
from clipdiff.tasks.measuring.splits import make_splits, read_captions
from clipdiff.tasks.zero_shot import ZeroShot


@dataclass(frozen=True)
class ItemText:
    """The text of an item, and what it is about, to tell whether it is still the same item.

    ``ids`` are those of its pictures, or of its classes (then ``classes`` names them).
    """

    text: str
    ids: tuple[int, ...]
    classes: tuple[str, ...] = ()


def item_texts(
    settings: EvaluateSettings, captions: Path, texts: Path, split: str, task: str, metric: str
) -> dict[int, ItemText]:
    """Return the texts of a metric's items by item id; none where the cell's CLIP chose them.

    Args:
        settings: of the evaluation, as its provenance has them.
        captions: ``data/captions.parquet``.
        texts: folder of what LLMs answered to ``data/questions.parquet``.
        split, task, metric: as in the metrics file.

    Raises:
        ConfigError, DataError: settings or data are no longer what they were.
    """
    (shown,) = make_splits(read_captions(captions), [split], captions)
    own = settings_of(settings, split, texts)
    if task.startswith("difference/"):
        found = _differences(DifferenceClassification(shown, own), task.split("/", 1)[1])
    elif task == "zero_shot":
        found = _prompts(ZeroShot(shown, own))
    elif task == "geometry":
        found = _class_texts(Geometry(shown, own), shown.class_names)
    elif task == "clip_score":
        found = _captions(ClipScore(shown, own), metric)
    else:
        return {}
    return dict(found)


def _differences(task: DifferenceClassification, name: str) -> Iterator[tuple[int, ItemText]]:
    parts = [pairs for pairs in task.attributes if name in (pairs.name, "mean")]
    texts = [text for pairs in parts for text in pairs.true_texts]
    ids = [task.split.image_ids[pairs.pair_rows] for pairs in parts]
    for place, (text, pictures) in enumerate(zip(texts, np.concatenate(ids), strict=True)):
        yield place, ItemText(text, tuple(pictures.tolist()))


def _prompts(task: ZeroShot) -> Iterator[tuple[int, ItemText]]:
    """Give each picture the prompt of its own class, the first of several."""
    templates = len(task.prompts) // task.classes
    for image_id, label in zip(task.items.ids.tolist(), task.labels, strict=True):
        yield image_id, ItemText(task.prompts[label * templates], (image_id,))


def _class_texts(task: Geometry, names: Sequence[str]) -> Iterator[tuple[int, ItemText]]:
    for place, (text, pair) in enumerate(zip(task.true_texts, task.pairs.tolist(), strict=True)):
        classes = tuple(names[each] for each in pair)
        yield place, ItemText(text or "(the LLM wrote nothing of use)", tuple(pair), classes)


def _captions(task: ClipScore, metric: str) -> Iterator[tuple[int, ItemText]]:
    if not metric.startswith("edit"):
        for image_id, text in zip(task.items.ids.tolist(), task.scored, strict=True):
            yield image_id, ItemText(text, (image_id,))
        return
    first, second = task.edit_items.image_id_1, task.edit_items.image_id_2
    for place, edit in enumerate(task.edit_texts):
        caption = task.captions[task.edit_rows[place, 0]]
        yield place, ItemText(f"{caption} + {edit}", (int(first[place]), int(second[place])))
