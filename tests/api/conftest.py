"""A results folder made by hand, and the finished tiny grid as ``clipdiff.load_results`` has it."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from clipdiff.api.results import Results, load_results
from clipdiff.files import write_json, write_parquet
from clipdiff.grid import Cell, Layout
from clipdiff.settings import Values
from clipdiff.shipped import path_of

CELLS = ["pretrained/none/seednone", "null/hinge/seed0", "captions/hinge/seed0"]
CLIP = {"model": "demo:clip", "pretrained": None}


@pytest.fixture(scope="session")
def finished(tiny_results: Path) -> Results:
    """The results of the tiny grid, which no test here writes to."""
    return load_results(tiny_results)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A results folder with three cells and no tables; an LLM is called ``null``."""
    layout = Layout(tmp_path / "results")
    for name in CELLS:
        cell = Cell.parse(name)
        weights = ["pretrained"] if cell.is_pretrained else ["averaged-0.50", "finetuned"]
        facts = provenance({"clip": CLIP, "evaluate": {"seed": 3}})
        write_json(layout.metrics(cell), {"provenance": facts, "rows": _rows(weights)})
        write_parquet(layout.items(cell), _items(weights))
    write_parquet(layout.differences("null"), _texts())
    write_parquet(layout.captions, _captions(tmp_path))
    return layout


@pytest.fixture
def results(layout: Layout) -> Results:
    """The same as notebooks see it."""
    return load_results(layout.root)


@pytest.fixture
def cell(layout: Layout) -> Cell:
    """``null/hinge/seed0`` with a model: the demo's CLIP, its text projection doubled and moved."""
    cell, source = Cell.parse("null/hinge/seed0"), Path(path_of("demo:clip"))
    folder = layout.model(cell)
    folder.mkdir(parents=True)
    for file in source.iterdir():
        if file.suffix == ".json":
            (folder / file.name).write_bytes(file.read_bytes())
    state = load_file(source / layout.weights(cell).name)
    state["text_projection"] = 2 * state["text_projection"].flip(1).contiguous() + 0.1
    save_file(state, layout.weights(cell))
    training = {"clip": CLIP, "loss": {"kind": "hinge", "margin": 0.2}}
    write_json(layout.provenance(cell), provenance(training))
    return cell


def provenance(settings: Values) -> Values:
    """Return what a stage writes of some settings beside its results."""
    facts = {"settings_hash": "0" * 16, "git_commit": "c0", "versions": {}, "python": "3.11"}
    return {**facts, "settings": settings, "host": "here", "date": "2026-01-01T00:00:00+00:00"}


def _rows(weights: list[str]) -> list[dict[str, object]]:
    measured = [("difference/mean", "accuracy"), ("zero_shot", "acc1")]
    return [
        {
            "task": task, "split": split, "weights": setting, "metric": metric, "value": 0.5,
            "n": 4, "stderr": 0.1, "ci_low": 0.4, "ci_high": None, "higher_is_better": True,
        }
        for setting in weights
        for split in ("test_scenes", "test_style")
        for task, metric in measured
    ]  # fmt: skip


def _items(weights: list[str]) -> pd.DataFrame:
    parts = []
    for setting in weights:
        for split in ("test_scenes", "test_style"):
            for task, metric, pairs in (("difference/size", "accuracy", True),
                                        ("zero_shot", "acc1", False)):  # fmt: skip
                second = pd.array(np.arange(4) + 10 if pairs else [None] * 4, dtype="Int64")
                names = {"task": task, "split": split, "weights": setting, "metric": metric}
                values = {"item_id": np.arange(4), "value": [1.0, 0.0, 1.0, 1.0]}
                ids = {"image_id_1": np.arange(4), "image_id_2": second}
                parts.append(pd.DataFrame({**names, **values, **ids}))
    return pd.concat(parts, ignore_index=True)


def _texts() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "pair_id": [0, 1],
            "image_id_1": [0, 1],
            "image_id_2": pd.array([1, None], dtype="Int64"),
            "difference": ["The first image shows more owls.", "An owl."],
            "kept": [True, False],
            "drop_reason": pd.array([None, "too_short"], dtype="string"),
            "true": pd.array([True, None], dtype="boolean"),
            "true_swapped": pd.array([False, None], dtype="boolean"),
            "truncated": [False, False],
            "prompt_tokens": pd.array([12, None], dtype="Int64"),
            "completion_tokens": pd.array([7, None], dtype="Int64"),
        }
    )


def _captions(folder: Path) -> pd.DataFrame:
    """Four images: two as bytes in the table, two as files beside it."""
    rows = []
    for image_id, colour in enumerate(("red", "green", "blue", "white")):
        image, data, path = Image.new("RGB", (8, 8), colour), io.BytesIO(), None
        image.save(data, "PNG")
        if image_id >= 2:
            path = folder / f"{colour}.png"
            path.write_bytes(data.getvalue())
        rows.append(
            {
                "image_id": image_id,
                "image": None if path else data.getvalue(),
                "path": str(path) if path else None,
                "caption": f"all {colour}",
                "split": "train" if image_id == 0 else "test_scenes",
                "dataset": "table",
                "label": colour,
                "attributes": json.dumps({"colour": colour}) if image_id else None,
            }
        )
    return pd.DataFrame(rows)
