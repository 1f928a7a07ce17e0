"""Stage ``evaluate``: one cell on every task, split and weight setting, as one job."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from clipdiff.settings import Evaluate
from clipdiff.config.stages import EvaluateSettings
from clipdiff.errors import ConfigError
from clipdiff.evaluate.inputs import Inputs, read_inputs
from clipdiff.tasks.base import Task, TextEmbeds, View, make_task
from clipdiff.tasks.measuring.metrics import item_rows, metric_row
from clipdiff.evaluate.sheet import sheet_path, write_sheet
from clipdiff.tasks.measuring.splits import Split
from clipdiff.evaluate.unclip import Painter
from clipdiff.evaluate.weights import weight_settings
from clipdiff.files import write_json, write_parquet
from clipdiff.grid import text_tables
from clipdiff.provenance import provenance
from clipdiff.towers.encode import TextEncoder, encode_texts
from clipdiff.towers.images import embed_images
from clipdiff.towers.load import load_clip

log = logging.getLogger(__name__)

PROBE = "linear_probe"


def evaluate(
    settings: EvaluateSettings,
    captions: Path,
    embeds: Path,
    model: Path | None,
    metrics: Path,
    items: Path,
    texts: Path,
) -> None:
    """Measure one cell.

    Args:
        settings: the cell, its CLIP, the reference CLIP, tasks and splits.
        captions: ``data/captions.parquet``.
        embeds: ``embeds/image_embeds.safetensors`` of ``settings.clip``.
        model: exported folder of the cell; None for the pretrained CLIP.
        metrics: JSON to write: provenance and one row a task, split, weights and metric.
        items: Parquet to write: per-item values, the same items in every cell.
        texts: folder of what LLMs answered to ``data/questions.parquet``.

    Raises:
        DataError, ModelError, ConfigError: an input is missing or does not fit.
    """
    torch.set_num_threads(settings.evaluate.threads)
    clip = load_clip(settings.clip)
    pretrained = {name: value.clone() for name, value in clip.model.state_dict().items()}
    inputs = read_inputs(captions, embeds, settings.evaluate.splits, clip)
    encode = TextEncoder(clip)
    tasks = _make_tasks(settings, inputs, encode, texts)
    reference = _reference_views(settings, encode, inputs, tasks)
    if settings.evaluate.unclip is not None:
        reference = _with_paint(settings, inputs, reference, tasks)
    metric_rows, item_tables = [], []
    wanted = _distinct(text for _, task in tasks for text in task.texts())
    for weights, state in weight_settings(pretrained, model, settings.evaluate.wise_alphas):
        clip.model.load_state_dict(state)
        text_embeds = TextEmbeds(wanted, encode(wanted))
        image_embeds = inputs.image_embeds
        if settings.image_tower_trained:
            image_embeds = embed_images(clip, captions, inputs.image_ids, settings.clip.batch)
        views = _views(settings, inputs, text_embeds, image_embeds)
        for split, task in tasks:
            for metric in task.measure(views[split.name], reference[split.name]):
                metric_rows.append(metric_row(metric, split.name, weights, settings.evaluate))
                if metric.kept:
                    item_tables.append(item_rows(metric, split.name, weights))
                if metric.shown:
                    write_sheet(sheet_path(metrics, split.name, weights), metric.shown)
        log.info("%s: measured %d tasks", weights, len(tasks))
    write_parquet(items, pd.concat(item_tables, ignore_index=True))
    write_json(metrics, {"provenance": provenance(settings), "rows": metric_rows})


def _make_tasks(
    settings: EvaluateSettings, inputs: Inputs, encode: TextEncoder, texts: Path
) -> list[tuple[Split, Task]]:
    """Make the tasks of each split, while the CLIP holds its pretrained weights.

    Raises:
        ConfigError: there is none, or one lacks what it needs.
    """
    for name in settings.evaluate.per_split.keys() - {split.name for split in inputs.splits}:
        log.warning("evaluate.per_split.%s: no effect, as evaluate.splits does not name it", name)
    validations = inputs.validations(encode)
    tasks = []
    for split in inputs.splits:
        own = settings_of(settings, split.name, texts)
        tasks += [(split, make_task(name, split, own, validations)) for name in own.tasks]
    if not tasks:
        raise ConfigError(
            f"evaluate.tasks: got {settings.evaluate.tasks}, which leave nothing to measure in "
            f"this cell on {', '.join(settings.evaluate.splits)}; add a task or a split"
        )
    return tasks


def settings_of(settings: EvaluateSettings, split: str, texts: Path) -> Evaluate:
    """Return the evaluate section of one split of this cell, its tables of texts as paths."""
    own = settings.evaluate.for_split(split)
    tasks, frozen = own.tasks, settings.llm != "pretrained" and not settings.image_tower_trained
    if frozen and PROBE in tasks:
        log.info("%s: no %s, as the image tower was not trained", split, PROBE)
        tasks = [name for name in tasks if name != PROBE]
    tables = text_tables(own, settings.text_llm, settings.writer, texts)
    return own.model_copy(
        update={"tasks": tasks, **{name: str(path) for name, path in tables.items()}}
    )


def _reference_views(
    settings: EvaluateSettings,
    encode: TextEncoder,
    inputs: Inputs,
    tasks: list[tuple[Split, Task]],
) -> dict[str, View]:
    """Embed what the judge has to see; the CLIP still holds its pretrained weights."""
    texts = _distinct(text for _, task in tasks for text in task.reference_texts())
    cached = inputs.image_embeds
    if not texts:
        return _views(settings, inputs, TextEmbeds([], cached[:0]), cached)
    if settings.reference_clip == settings.clip:
        return _views(settings, inputs, TextEmbeds(texts, encode(texts)), cached)
    judge = load_clip(settings.reference_clip)
    text_embeds = TextEmbeds(texts, encode_texts(judge, texts))
    image_embeds = embed_images(
        judge, inputs.captions, inputs.image_ids, settings.reference_clip.batch
    )
    return _views(settings, inputs, text_embeds, image_embeds)


def _with_paint(
    settings: EvaluateSettings,
    inputs: Inputs,
    reference: dict[str, View],
    tasks: list[tuple[Split, Task]],
) -> dict[str, View]:
    """Let unCLIP paint for the judge, whose weights stay: the cell's CLIP changes its own."""
    if not any(task.reference_texts() for _, task in tasks):
        log.warning("evaluate.unclip: no effect, as no task has a judge; add clip_score")
        return reference
    painter = Painter(settings.evaluate.unclip, inputs, load_clip(settings.reference_clip))
    return {name: replace(view, paint=painter.paint) for name, view in reference.items()}


def _views(
    settings: EvaluateSettings, inputs: Inputs, text_embeds: TextEmbeds, image_embeds: Tensor
) -> dict[str, View]:
    """Return a model's view of each split, each with that of its validation split."""
    parts = inputs.parts(image_embeds)
    chosen_on = {name: settings.evaluate.for_split(name).validation for name in parts}
    return {
        name: View(text_embeds, part, parts.get(chosen_on[name])) for name, part in parts.items()
    }


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
