"""A run of the paper's shape: many splits, each with tasks of its own; tables, answer and page."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clipdiff.config import Config
from clipdiff.grid import Cell
from clipdiff.settings import SplitSettings
from clipdiff.tables.figures.names import figure_names
from clipdiff.tables.gather import gather
from clipdiff.tables.scope import DIFFERENCE, ZERO_SHOT, reported_splits, splits_with
from clipdiff.tasks.measuring.metrics import Items, Metric

pytestmark = pytest.mark.slow

DIFFERENCES, SCORES = "difference_classification", "clip_score"
PROMPTS = ["zero_shot", "comparative_prompting"]
TASKS: dict[str, list[str]] = {
    "validation": [DIFFERENCES, SCORES],
    "test": [DIFFERENCES, SCORES],
    "awa2": [DIFFERENCES],
    "awa2_size": [DIFFERENCES],
    "cub200": [DIFFERENCES, *PROMPTS],
    "cifar10": PROMPTS,
    "cifar100": [DIFFERENCES, *PROMPTS],
    "flowers102": [DIFFERENCES, *PROMPTS],
    "eurosat": [*PROMPTS, "geometry"],
    "sun397": [*PROMPTS, "linear_probe"],
}
CHOSEN_ON = {"cifar10": "cifar10_validation"}


def with_splits(config: Config) -> Config:
    """Return a configuration with the paper's splits, ``cifar10`` with a validation of its own."""
    per_split = {name: SplitSettings(tasks=tasks, validation=CHOSEN_ON.get(name))
                 for name, tasks in TASKS.items()}  # fmt: skip
    per_split |= {name: SplitSettings(tasks=[]) for name in CHOSEN_ON.values()}
    changes = {"splits": list(per_split), "per_split": per_split, "tasks": ["zero_shot"]}
    return config.model_copy(update={"evaluate": config.evaluate.model_copy(update=changes)})


def paper_builder(base: type) -> type:
    """Return the ``Builder`` of the conftest with these splits and all tasks."""

    class PaperBuilder(base):
        """Plants the outcomes of all tasks of each split."""

        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            names = [name for name in self.config.evaluate.splits if name != "validation"]
            held = self.captions.index[~self.captions["split"].isin(["train", "validation"])]
            for place, rows in enumerate(np.array_split(held, len(names))):
                self.captions.loc[rows, "split"] = names[place]

        def metrics(self, cell: Cell, split: str, share: float) -> list[Metric]:
            """Keep what the split's tasks measure, and add what the base does not plant."""
            tasks = self.config.evaluate.for_split(split).tasks
            found = super().metrics(cell, split, share)
            found = [m for m in found if m.task in tasks or (
                DIFFERENCES in tasks and m.task.startswith("difference/"))]  # fmt: skip
            ids = self.captions.loc[self.captions["split"] == split, "image_id"].to_numpy()
            single = Items(ids, ids)
            if "comparative_prompting" in tasks:
                (plain,) = (m.values for m in found if m.task == "zero_shot")
                flip = self.rng.random(len(ids)) < 0.04
                moved = np.where(flip, 1 - plain, plain)
                found.append(Metric("comparative_prompting", "acc1", moved, single, kept=True))
                gain = moved - plain
                found.append(Metric("comparative_prompting", "gain", gain, single, kept=True))
            if "geometry" in tasks:
                pairs = np.stack(np.triu_indices(8, 1))
                items = Items(np.arange(pairs.shape[1]), *pairs)
                values = self.planted(split, "geometry", pairs.shape[1]) < 0.2 + 0.8 * share
                for name in ("direction", "analogy"):
                    values = values.astype(float)
                    found.append(Metric("geometry", name, values, items, kept=True))
            if "linear_probe" in tasks and cell.is_pretrained:
                found.append(
                    Metric("linear_probe", "acc1", np.full(len(ids), 0.5), single, kept=True)
                )
            return found

    return PaperBuilder


@pytest.fixture(scope="session")
def paper_root(built, tmp_path_factory):
    """Such a folder on the small grid, after ``gather``."""
    config = with_splits(built.config)
    more = config.data.model_copy(update={"test_images": 180})
    config = config.model_copy(update={"data": more})
    folder = tmp_path_factory.mktemp("paper")
    made = paper_builder(type(built))(folder, config, pairs=40).write()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parents[2])
        gather(made.settings(), made.layout)
    return made


@pytest.fixture(scope="session")
def many(paper_root):
    """Its tables by name, and the page's text."""
    read = {
        name: pd.read_csv(paper_root.layout.root / f"tables/{name}.csv", keep_default_na=False,
                          na_values=[""])
        for name in ("summary", "tests")
    }  # fmt: skip
    page = (paper_root.layout.root / "report.html").read_text()
    return read | {"page": re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))}


def test_splits_that_choices_are_made_on_are_hidden(paper_root):
    evaluate = paper_root.config.evaluate
    reported = reported_splits(evaluate)
    assert not {"validation", "cifar10_validation"} & set(reported)
    assert len(reported) == 9
    assert splits_with(paper_root.settings(), DIFFERENCE, ZERO_SHOT) == [
        "cub200", "cifar100", "flowers102",
    ]  # fmt: skip
    only = evaluate.model_copy(update={"splits": ["validation"]})
    assert reported_splits(only) == ["validation"]


def test_every_measure_is_tested_where_it_was_measured(many):
    tests = many["tests"]
    cells = tests[(tests["kind"] == "cell") & (tests["weights"] == "finetuned")]
    found = cells.groupby(["task", "metric"])["split"].nunique().to_dict()
    assert found == {
        ("clip_score", "edit"): 2,
        ("clip_score", "retrieval"): 2,
        ("comparative_prompting", "acc1"): 6,
        ("comparative_prompting", "gain"): 6,
        ("difference/mean", "accuracy"): 7,
        ("geometry", "analogy"): 1,
        ("geometry", "direction"): 1,
        ("zero_shot", "acc1"): 6,
    }
    family = cells.groupby(["task", "metric", "split"]).size()
    assert set(family) == {4}  # LLMs x losses: Holm's family
    pairs = tests[(tests["task"] == "geometry") & (tests["kind"] == "llm")]
    assert set(pairs["n"]) == {28}
    assert (pairs["p"] >= 2.0**-7).all()  # eight classes, not images


def test_a_probe_of_the_pretrained_alone_is_in_no_table_of_the_page(many):
    probe = many["summary"][many["summary"]["task"] == "linear_probe"]
    assert list(probe["llm"]) == ["pretrained"]
    assert "Linear probe acc1" not in many["page"]


def test_gain_over_plain_prompts_is_compared_as_it_is(many):
    rows = many["summary"][many["summary"]["metric"] == "gain"]
    before = rows[rows["kind"] == "pretrained"].set_index("split")["mean"]
    cells = rows[rows["kind"] == "cell"]
    assert (before != 0).any()
    assert (cells["gain"] - (cells["mean"] - cells["split"].map(before))).abs().max() < 1e-9


def test_best_is_chosen_on_the_configured_split(paper_root, many):
    summary = many["summary"]
    best = summary[summary["best"]].iloc[0]
    assert best["llm"] == "llama2"
    assert f"The best on the validation split is llama2 with {best['loss']}" in many["page"]


def test_answers_are_over_all_splits_with_the_metric(many):
    assert re.search(r"Difference accuracy Yes: \d+ better of 24 \(6 splits\)", many["page"])
    assert re.search(r"over 6 splits \d+ of 24 better and 0 worse", many["page"])
    assert re.search(r"beyond chance on \d of 6 splits", many["page"])
    assert "Zero-shot acc1" in many["page"]
    assert "Geometry rests on classes" in many["page"]


def test_figures_are_of_the_splits_that_have_the_tasks(paper_root):
    settings = paper_root.settings()
    names = figure_names(settings)
    assert len(names) == 7
    text = (paper_root.layout.root / "figures/heatmap_zero_shot.svg").read_text()
    assert "eurosat" in text
    assert "awa2" not in text
    evaluate = settings.evaluate.model_copy(update={"splits": ["validation", "awa2"]})
    only = settings.model_copy(update={"evaluate": evaluate})
    assert "tradeoff" not in figure_names(only)
    assert "heatmap_difference" in figure_names(only)


def test_markdown_and_latex_stay_narrow(paper_root):
    text = (paper_root.layout.root / "tables/summary.md").read_text()
    heads = [line for line in text.splitlines() if line.startswith("| LLM")]
    assert max(line.count("|") for line in heads) <= 7  # LLM, loss, two measures with gains
    assert "### Comparative prompting: cifar10, finetuned weights" in text
    assert "cifar10_validation" not in text
    latex = (paper_root.layout.root / "tables/summary.tex").read_text()
    labels = re.findall(r"\\label\{(.*?)\}", latex)
    assert len(labels) == len(set(labels))
    assert all(" " not in label for label in labels)


def test_gather_again_gives_the_same_page_but_for_dates(paper_root, many):
    before = (paper_root.layout.root / "tables/tests.csv").read_bytes()
    gather(paper_root.settings(), paper_root.layout)
    assert (paper_root.layout.root / "tables/tests.csv").read_bytes() == before
