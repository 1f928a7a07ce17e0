"""Stage ``evaluate``: one cell on every task, split and weight setting, as one job."""

import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from clipdiff.config.sections import Evaluate
from clipdiff.config.stages import EvaluateSettings
from clipdiff.errors import ConfigError, ModelError
from clipdiff.evaluate.image_embeds import read_image_embeds
from clipdiff.evaluate.registry import Task, TextEmbeds, Validation, View, make_task
from clipdiff.evaluate.results import item_rows, metric_row
from clipdiff.evaluate.splits import Split, make_splits, read_captions
from clipdiff.evaluate.weights import weight_settings
from clipdiff.files import write_json, write_parquet
from clipdiff.provenance import provenance
from clipdiff.towers.encode import encode_texts
from clipdiff.towers.images import embed_images
from clipdiff.towers.load import LoadedClip, load_clip

log = logging.getLogger(__name__)

PROBE = "linear_probe"


def evaluate(
    settings: EvaluateSettings,
    captions: Path,
    embeds: Path,
    model: Path | None,
    metrics: Path,
    items: Path,
) -> None:
    """Measure one cell.

    Args:
        settings: the cell, its CLIP, the reference CLIP, tasks and splits.
        captions: ``data/captions.parquet``.
        embeds: ``embeds/image_embeds.safetensors`` of ``settings.clip``.
        model: exported folder of the cell; None for the pretrained CLIP.
        metrics: JSON to write: provenance and one row a task, split, weights and metric.
        items: Parquet to write: per-item values, the same items in every cell.

    Raises:
        DataError, ModelError, ConfigError: an input is missing or does not fit.
    """
    torch.set_num_threads(settings.evaluate.threads)
    table = read_captions(captions)
    splits = make_splits(table, settings.evaluate.splits, captions)
    clip = load_clip(settings.clip)
    pretrained = {name: value.clone() for name, value in clip.model.state_dict().items()}
    rows = np.concatenate([split.rows for split in splits])
    cached = read_image_embeds(embeds, table["image_id"].to_numpy()[rows])
    _check_width(encode_texts(clip, []), cached, embeds)
    tasks = _make_tasks(settings, splits, clip, cached)
    reference = _reference_views(settings, clip, cached, table.iloc[rows], splits, tasks)
    metric_rows, item_tables = [], []
    texts = _distinct(text for _, task in tasks for text in task.texts())
    for weights, state in weight_settings(pretrained, model, settings.evaluate.wise_alphas):
        clip.model.load_state_dict(state)
        text_embeds = TextEmbeds(texts, encode_texts(clip, texts))
        image_embeds = cached
        if settings.image_tower_trained:
            image_embeds = embed_images(clip, table.iloc[rows], settings.clip.batch)
        views = _views(settings, splits, text_embeds, image_embeds)
        for split, task in tasks:
            for metric in task.measure(views[split.name], reference[split.name]):
                metric_rows.append(metric_row(metric, split.name, weights, settings.evaluate))
                if metric.kept:
                    item_tables.append(item_rows(metric, split.name, weights))
        log.info("%s: measured %d tasks", weights, len(tasks))
    if not item_tables:
        raise ConfigError(
            f"evaluate.tasks: got {settings.evaluate.tasks}, which leave nothing to measure in "
            f"this cell on {', '.join(settings.evaluate.splits)}; add a task or a split"
        )
    write_parquet(items, pd.concat(item_tables, ignore_index=True))
    write_json(metrics, {"provenance": provenance(settings), "rows": metric_rows})


def _make_tasks(
    settings: EvaluateSettings, splits: list[Split], clip: LoadedClip, cached: Tensor
) -> list[tuple[Split, Task]]:
    """Make the tasks of each split, while ``clip`` holds its pretrained weights."""
    for name in settings.evaluate.per_split.keys() - {split.name for split in splits}:
        log.warning("evaluate.per_split.%s: no effect, as evaluate.splits does not name it", name)
    parts = _parts(splits, cached)
    validations = {
        split.name: Validation(split, parts[split.name], partial(encode_texts, clip))
        for split in splits
    }
    tasks = []
    for split in splits:
        own = _settings_of(settings, split.name)
        tasks += [
            (split, make_task(name, split, own, validations.get(own.validation)))
            for name in own.tasks
        ]
    return tasks


def _settings_of(settings: EvaluateSettings, split: str) -> Evaluate:
    """Return the evaluate section of one split of this cell."""
    own = settings.evaluate.for_split(split)
    tasks, frozen = own.tasks, settings.llm != "pretrained" and not settings.image_tower_trained
    if frozen and PROBE in tasks:
        log.info("%s: no %s, as the image tower was not trained", split, PROBE)
        tasks = [name for name in tasks if name != PROBE]
    paths = {name: getattr(own, name) for name in ("class_differences", "class_descriptions")}
    written = {name: path.replace("{llm}", settings.llm) for name, path in paths.items() if path}
    return own.model_copy(update={"tasks": tasks, **written})


def _reference_views(
    settings: EvaluateSettings,
    clip: LoadedClip,
    cached: Tensor,
    pictures: pd.DataFrame,
    splits: list[Split],
    tasks: list[tuple[Split, Task]],
) -> dict[str, View]:
    """Embed what the judge has to see; ``clip`` still holds its pretrained weights."""
    texts = _distinct(text for _, task in tasks for text in task.reference_texts())
    if not texts:
        return _views(settings, splits, TextEmbeds([], cached[:0]), cached)
    if settings.reference_clip == settings.clip:
        return _views(settings, splits, TextEmbeds(texts, encode_texts(clip, texts)), cached)
    judge = load_clip(settings.reference_clip)
    text_embeds = TextEmbeds(texts, encode_texts(judge, texts))
    image_embeds = embed_images(judge, pictures, settings.reference_clip.batch)
    return _views(settings, splits, text_embeds, image_embeds)


def _views(
    settings: EvaluateSettings, splits: list[Split], text_embeds: TextEmbeds, image_embeds: Tensor
) -> dict[str, View]:
    """Return a model's view of each split, each with that of its validation split."""
    parts = _parts(splits, image_embeds)
    chosen_on = {name: settings.evaluate.for_split(name).validation for name in parts}
    return {
        name: View(text_embeds, part, parts.get(chosen_on[name])) for name, part in parts.items()
    }


def _parts(splits: list[Split], image_embeds: Tensor) -> dict[str, Tensor]:
    """Cut image_embeds (M, D), which are the splits' one after the other."""
    parts = image_embeds.split([len(split.rows) for split in splits])
    return {split.name: part for split, part in zip(splits, parts, strict=True)}


def _check_width(text_embeds: Tensor, image_embeds: Tensor, embeds: Path) -> None:
    if image_embeds.shape[1] != text_embeds.shape[1]:
        raise ModelError(
            f"{embeds}: embeddings of width {image_embeds.shape[1]}, but clip.model makes "
            f"{text_embeds.shape[1]}; they are another CLIP's: delete the file and run "
            "`clipdiff embed` again"
        )


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
