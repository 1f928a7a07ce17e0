"""Seconds that one cell's evaluation takes: cached embeddings of 10,000 images, five tasks.

``OMP_NUM_THREADS=2 pytest tests/benchmarks --benchmark-only -k evaluate -s``; on a machine that
others use too, ``OMP_NUM_THREADS=1`` and ``--benchmark-timer=time.process_time`` count CPU seconds.

The cell is one of the embedded default's, with its CLIP and both its weight settings. The images
are scenes of its kind that nobody rendered: their embeddings are random, which costs the same.
"""

import json
import os
import random
import sys
from pathlib import Path

import pandas as pd
import torch
from torch.nn.functional import normalize

from clipdiff.config import load_config
from clipdiff.config.stages import evaluate_settings
from clipdiff.demo.corpus import draw_scene
from clipdiff.demo.scenes import TRAIN_STYLES, caption
from clipdiff.evaluate.run import evaluate
from clipdiff.files import read_json, write_parquet, write_tensors
from clipdiff.grid import Cell, Layout
from clipdiff.settings import Evaluate
from clipdiff.shipped import path_of
from clipdiff.towers.encode import encode_texts
from clipdiff.towers.load import load_clip

IMAGES = {"test_scenes": 10_000, "validation": 1_000}
TASKS = ["zero_shot", "comparative_prompting", "clip_score", "geometry"]
MODEL = Path(path_of("demo:clip"))


def scenes() -> pd.DataFrame:
    """Return the captions table of both splits, without images."""
    rng, rows = random.Random(0), []
    for split, count in IMAGES.items():
        for _ in range(count):
            scene = draw_scene(rng, "train", TRAIN_STYLES)
            attributes = {
                "object": scene.name,
                "size": scene.size,
                "count": scene.count,
                "background": scene.background,
            }
            rows.append(
                {
                    "caption": caption(scene),
                    "split": split,
                    "label": scene.name,
                    "attributes": json.dumps(attributes),
                }
            )
    return pd.DataFrame(rows).assign(image_id=range(len(rows)), image=None, path=None)


def test_bench_evaluate_a_cell(benchmark, tmp_path: Path) -> None:
    """Every task is measured on the 10,000, with finetuned and averaged weights."""
    config = load_config("config.yaml")
    changes = {
        "splits": list(IMAGES),
        "tasks": ["difference_classification", *TASKS],
        "per_split": {"validation": {"tasks": []}},
        "threads": int(os.environ.get("OMP_NUM_THREADS", "2")),
    }
    section = Evaluate.model_validate(config.evaluate.model_dump(exclude_unset=True) | changes)
    config = config.model_copy(update={"evaluate": section})
    settings = evaluate_settings(config, Cell.of("bert", "hinge", 0))
    table = scenes()
    layout = Layout(tmp_path)
    captions, embeds = layout.captions, layout.image_embeds
    write_parquet(captions, table)
    width = encode_texts(load_clip(settings.clip), []).shape[1]
    generator = torch.Generator().manual_seed(0)
    image_embeds = normalize(torch.randn(len(table), width, generator=generator), dim=1)
    ids = torch.tensor(table["image_id"].to_numpy())
    write_tensors(embeds, {"image_embeds": image_embeds, "image_ids": ids})
    metrics, items = layout.metrics(settings.cell), layout.items(settings.cell)
    benchmark.pedantic(
        evaluate, args=(settings, captions, embeds, MODEL, metrics, items, layout), rounds=1
    )
    rows = pd.DataFrame(read_json(metrics)["rows"])
    assert set(rows["split"]) == {"test_scenes"}
    assert {name.partition("/")[0] for name in rows["task"]} == {"difference", *TASKS}
    assert rows.query("task == 'zero_shot'")["n"].max() == IMAGES["test_scenes"]
    sys.stdout.write(f"\n{len(rows)} rows: {benchmark.stats.stats.max:.1f} s\n")
