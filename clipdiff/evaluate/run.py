"""Stage ``evaluate``: one cell on every task, split and weight setting, as one job."""

import logging
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import torch

from clipdiff.config.stages import EvaluateSettings
from clipdiff.evaluate.inputs import Inputs, read_inputs
from clipdiff.evaluate.sheet import sheet_path, write_sheet
from clipdiff.evaluate.tasks_of_split import make_tasks
from clipdiff.evaluate.unclip import Painters
from clipdiff.evaluate.weights import weight_settings
from clipdiff.files import write_json, write_parquet
from clipdiff.grid import Layout
from clipdiff.provenance import provenance
from clipdiff.tasks.base import Task, TextEmbeds, View
from clipdiff.tasks.measuring.metrics import item_rows, metric_row
from clipdiff.towers.encode import TextEncoder, encode_texts
from clipdiff.towers.images import embed_images
from clipdiff.towers.load import load_clip

log = logging.getLogger(__name__)


def evaluate(
    settings: EvaluateSettings,
    captions: Path,
    embeds: Path,
    model: Path | None,
    metrics: Path,
    items: Path,
    layout: Layout,
) -> None:
    """Measure one cell.

    Args:
        settings: the cell, its CLIP, the reference CLIP, tasks and splits.
        captions: ``data/captions.parquet``.
        embeds: ``embeds/image_embeds.safetensors`` of ``settings.clip``.
        model: exported folder of the cell; None for the pretrained CLIP.
        metrics: JSON to write: provenance and one row a task, split, weights and metric.
        items: Parquet to write: per-item values, the same items in every cell.
        layout: where the LLMs' answers to ``data/questions.parquet`` lie.

    Raises:
        DataError, ModelError, ConfigError: an input is missing or does not fit.
    """
    torch.set_num_threads(settings.evaluate.threads)
    clip = load_clip(settings.clip)
    pretrained = {name: value.clone() for name, value in clip.model.state_dict().items()}
    encode = TextEncoder(clip)
    inputs = read_inputs(captions, embeds, settings.evaluate.splits, clip)
    tasks = make_tasks(settings, inputs, encode, layout)
    reference = _reference_views(settings, inputs, encode, [task for _, task in tasks])
    metric_rows, item_tables = [], []
    for weights, state in weight_settings(pretrained, model, settings.evaluate.wise_alphas):
        clip.model.load_state_dict(state)
        views = _views(settings, inputs, encode, [task for _, task in tasks])
        for split, task in tasks:
            for metric in task.measure(views[split.name], reference[split.name]):
                metric_rows.append(metric_row(metric, split.name, weights, settings.evaluate))
                if metric.kept:
                    item_tables.append(item_rows(metric, split.name, weights))
                if metric.sheet:
                    write_sheet(sheet_path(metrics, split.name, weights), metric.sheet)
        log.info("%s: measured %d tasks", weights, len(tasks))
    write_parquet(items, pd.concat(item_tables, ignore_index=True))
    write_json(metrics, {"provenance": provenance(settings), "rows": metric_rows})


def _views(
    settings: EvaluateSettings, inputs: Inputs, encode: TextEncoder, tasks: list[Task]
) -> dict[str, View]:
    """Embed what tasks measure, by the weights that the cell's CLIP holds."""
    texts = _distinct(text for task in tasks for text in task.texts())
    image_embeds = inputs.image_embeds
    if settings.image_tower_trained:
        batch = settings.clip.batch
        image_embeds = embed_images(encode.clip, inputs.captions, inputs.image_ids, batch)
    return inputs.views(settings.evaluate, TextEmbeds(texts, encode(texts)), image_embeds)


def _reference_views(
    settings: EvaluateSettings, inputs: Inputs, encode: TextEncoder, tasks: list[Task]
) -> dict[str, View]:
    """Embed what the judge has to see, while the cell's CLIP holds its pretrained weights.

    The judge is that very CLIP if both have the same name; nobody if no task has a text for it.
    """
    texts = _distinct(text for task in tasks for text in task.reference_texts())
    image_embeds, paint = inputs.image_embeds, Painters(settings.reference_clip, inputs).paint
    if not texts or settings.reference_clip.result() == settings.clip.result():
        text_embeds = encode(texts)
    else:
        judge = load_clip(settings.reference_clip)
        text_embeds = encode_texts(judge, texts)
        batch = settings.reference_clip.batch
        image_embeds = embed_images(judge, inputs.captions, inputs.image_ids, batch)
    return inputs.views(settings.evaluate, TextEmbeds(texts, text_embeds), image_embeds, paint)


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
