"""A small but whole results folder, as the stages before ``gather`` write it.

Its metrics and items are made by ``evaluate``'s own functions of planted outcomes, so the formats
can't drift apart; every cell has a planted skill.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clipdiff.config import Config, load_config
from clipdiff.config.entries import all_cells, control_rows
from clipdiff.config.model import Data
from clipdiff.config.stages import (
    EvaluateSettings,
    GatherSettings,
    evaluate_settings,
    gather_settings,
)
from clipdiff.datasets.demo import Demo
from clipdiff.files import write_json, write_parquet
from clipdiff.grid import Cell, Layout
from clipdiff.provenance import provenance
from clipdiff.tables.gather import gather
from clipdiff.tasks.measuring.metrics import Items, Metric, item_rows, metric_row

ATTRIBUTES = ("background", "count", "object", "size")
LLM_SKILL = {"llama2": 0.9, "gpt3": 0.8, "bert": 0.25, "t5": 0.7}
CONTROL_SKILL = {"captions": 0.15, "rewritten-llama2": 0.1, "shuffled-llama2": -0.02}
LOSS_SKILL = {"contrastive": 0.0, "squared": 0.15, "hinge": 0.12}
ZERO_SHOT_LOSS = {"contrastive": 0.10, "squared": 0.03, "hinge": 0.02}


class Builder:
    """Writes a results folder; ``config`` says which cells there are."""

    def __init__(self, root: Path, config: Config, pairs: int = 60):
        self.layout, self.config, self.pairs = Layout(root), config, pairs
        self.captions = Demo().captions(config.data.counts, config.data.seed)
        self.rng = np.random.default_rng(0)
        self.noise: dict[tuple, np.ndarray] = {}

    def write(self) -> "Builder":
        """Write every file that ``gather`` reads."""
        write_parquet(self.layout.captions, self.captions)
        pairs = self.write_pairs()
        for llm in [*self.config.llms, *map(str, control_rows(self.config))]:
            self.write_differences(llm, pairs)
        for cell in all_cells(self.config):
            self.write_cell(cell)
            if not cell.is_pretrained:
                self.write_log(cell)
        self.write_benchmarks()
        return self

    def settings(self) -> GatherSettings:
        """What ``gather`` is told."""
        return gather_settings(self.config)

    def write_pairs(self) -> pd.DataFrame:
        """Draw training pairs."""
        train = self.captions[self.captions["split"] == "train"]
        count = self.config.data.pairs
        first = self.rng.integers(len(train), size=count)
        second = (first + self.rng.integers(1, len(train), size=count)) % len(train)
        table = pd.DataFrame({"pair_id": np.arange(count)})
        for side, rows in (("1", first), ("2", second)):
            table[f"image_id_{side}"] = train["image_id"].to_numpy()[rows]
            table[f"caption_{side}"] = train["caption"].to_numpy()[rows]
        write_parquet(self.layout.pairs, table)
        return table

    def write_differences(self, llm: str, pairs: pd.DataFrame) -> None:
        """Write texts of which some are dropped and some are false."""
        skill = LLM_SKILL.get(llm, 0.5)
        draws = self.rng.random((3, len(pairs)))
        kept = draws[0] < 0.55 + 0.4 * skill
        reason = np.where(draws[2] < 0.5, "repeats itself", "too short")
        table = pairs[["pair_id", "image_id_1", "image_id_2"]].assign(
            difference=[
                f"The first image shows {a}, while the second shows {b}."
                for a, b in zip(pairs["caption_1"], pairs["caption_2"], strict=True)
            ],
            kept=kept,
            drop_reason=np.where(kept, None, reason),
            truncated=draws[2] < 0.02,
        )
        table["true"] = pd.array(draws[1] < 0.4 + 0.5 * skill, dtype="boolean")
        # every false text has the images the wrong way round, but for one in ten
        table["true_swapped"] = ~table["true"] & pd.array(draws[2] > 0.1, dtype="boolean")
        table["prompt_tokens"] = pd.array([40] * len(table), dtype="Int64")
        table["completion_tokens"] = pd.array([20] * len(table), dtype="Int64")
        if llm in ("captions", f"rewritten-{self.config.controls.llm}"):
            table["true"] = pd.array([pd.NA] * len(table), dtype="boolean")
            table["true_swapped"] = table["true"]
            table["image_id_2"] = pd.array([pd.NA] * len(table), dtype="Int64")
        write_parquet(self.layout.differences(llm), table)

    def write_log(self, cell: Cell) -> None:
        """Write a falling loss."""
        path = self.layout.train_log(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        start = {"contrastive": 4.8, "squared": 1.0, "hinge": 0.3}.get(cell.loss, 1.0)
        skill = LLM_SKILL.get(str(cell.row), 0.4)
        with path.open("w") as handle:
            for step in range(1, 121, 10):
                fall = 1 - 0.6 * skill * (1 - np.exp(-step / 35))
                loss = start * (fall + 0.02 * self.rng.normal())
                line = {"step": step, "epoch": step // 24, "loss": loss, "lr": 1e-3}
                handle.write(json.dumps(line) + "\n")

    def write_benchmarks(self) -> None:
        """Write two of Snakemake's benchmark files."""
        for name, seconds in (("train/bert/hinge/seed0", 12.5), ("train/t5/hinge/seed0", 11.0),
                              ("embed", 30.0)):  # fmt: skip
            path = self.layout.benchmarks / f"{name}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"s\th:m:s\tmax_rss\tcpu_time\n{seconds}\t0:00:12\t812.5\t-\n")

    def write_cell(self, cell: Cell) -> None:
        """Write metrics and items of one cell."""
        settings = evaluate_settings(self.config, cell)
        shares = {"pretrained": 0.0} if cell.is_pretrained else {
            "finetuned": 1.0, "averaged-0.50": 0.5
        }  # fmt: skip
        rows, items = [], []
        for weights, share in shares.items():
            for split in self.config.evaluate.splits:
                for metric in self.metrics(cell, split, share):
                    rows.append(metric_row(metric, split, weights, settings.evaluate))
                    if metric.kept:
                        items.append(item_rows(metric, split, weights))
        write_parquet(self.layout.items(cell), pd.concat(items, ignore_index=True))
        self.write_json(cell, rows, settings)

    def write_json(self, cell: Cell, rows: list, settings: EvaluateSettings) -> None:
        """Write the metrics file."""
        facts = provenance(settings)
        write_json(self.layout.metrics(cell), {"provenance": facts, "rows": rows})

    def metrics(self, cell: Cell, split: str, share: float) -> list[Metric]:
        """Return the planted outcomes of one split; ``share`` of the skill is shown."""
        ids = self.captions.loc[self.captions["split"] == split, "image_id"].to_numpy()
        skill = LLM_SKILL | CONTROL_SKILL
        level = share * skill.get(str(cell.row), 0) * (1 + LOSS_SKILL.get(cell.loss, 0))
        if split == "test_style":
            level *= 0.8
        pairs = [self.pair_items(split, name, ids) for name in ATTRIBUTES]
        scores = [
            level
            + self.planted(split, name)
            + 0.3 * share * self.rng.normal(size=self.pairs)
            - 0.05
            for name in ATTRIBUTES
        ]
        pooled = Items(
            np.arange(4 * self.pairs),
            np.concatenate([part.image_id_1 for part in pairs]),
            np.concatenate([part.image_id_2 for part in pairs]),
        )
        groups = np.repeat(np.arange(4), self.pairs)
        found = []
        for name, part, score in zip(
            [*ATTRIBUTES, "mean"], [*pairs, pooled], [*scores, np.concatenate(scores)], strict=True
        ):
            groups_of = groups if name == "mean" else None
            for metric, values in (("accuracy", (score > 0).astype(float)), ("score", score)):
                found.append(
                    Metric(f"difference/{name}", metric, values, part, groups_of, kept=True)
                )
        return found + self.image_metrics(cell, split, share, ids, pairs[0])

    def image_metrics(
        self, cell: Cell, split: str, share: float, ids: np.ndarray, edits: Items
    ) -> list[Metric]:
        """Return zero-shot and CLIP-Score outcomes."""
        single = Items(ids, ids)
        lost = share**2 * ZERO_SHOT_LOSS.get(cell.loss, 0) - 0.01 * (share == 0.5)
        hits = self.planted(split, "zero_shot", len(ids)) < 1.0 - 3 * lost
        hits = np.where(self.rng.random(len(ids)) < 0.05 * share, ~hits, hits)
        own = 0.1 * share * self.rng.normal(size=len(ids))
        found = self.planted(split, "clip_score", len(ids)) * 0.2 + 1.6 - lost + own
        own = 0.1 * share * self.rng.normal(size=self.pairs)
        edit = self.planted(split, "edit") * 0.2 + 1.2 + 0.1 * share + own
        return [
            Metric("zero_shot", "acc1", hits.astype(float), single, kept=True),
            Metric("clip_score", "retrieval", found, single, kept=True),
            Metric("clip_score", "edit", edit, edits, kept=True),
        ]

    def planted(self, split: str, name: str, count: int | None = None) -> np.ndarray:
        """Return the difficulty of each item, the same in every cell."""
        drawn = self.rng.normal(size=count or self.pairs)
        return self.noise.setdefault((split, name), drawn)

    def pair_items(self, split: str, name: str, ids: np.ndarray) -> Items:
        """Return pairs of a task, the same in every cell."""
        rng = np.random.default_rng([len(split), len(name), len(ids)])
        first = rng.integers(len(ids), size=self.pairs)
        second = (first + rng.integers(1, len(ids), size=self.pairs)) % len(ids)
        return Items(np.arange(self.pairs), ids[first], ids[second])


def small_config(**changes: object) -> Config:
    """Return the embedded default, cut down: 2 LLMs, 2 losses, 2 seeds, 3 controls."""
    config = load_config(Path(__file__).parents[2] / "config.yaml")
    sizes = {"train_images": 12, "validation_images": 40, "test_images": 40, "pairs": 30}
    small = {
        "llms": ["llama2", "bert"],
        "losses": ["squared", "hinge"],
        "seeds": [0, 1],
        "data": Data(source="demo", **sizes),
        "evaluate": config.evaluate.model_copy(update={"resamples": 200}),
    }
    return config.model_copy(update=small | changes)


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Builder:
    """A results folder that tests may read but not change."""
    return Builder(tmp_path_factory.mktemp("results"), small_config()).write()


@pytest.fixture(scope="session")
def root(built) -> Path:
    """The same folder after ``gather``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parents[2])
        gather(built.settings(), built.layout)
    return built.layout.root


@pytest.fixture
def own(tmp_path) -> Builder:
    """A results folder that a test may break."""
    one = {"llms": ["bert"], "losses": ["hinge"], "seeds": [0]}
    controls = small_config().controls.model_copy(update={"rows": []})
    return Builder(tmp_path / "results", small_config(**one, controls=controls), pairs=20).write()
