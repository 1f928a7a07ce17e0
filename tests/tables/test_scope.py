"""What is compared: the measures of whatever tasks a run has, by kind and not by name."""

import re

import numpy as np
import pandas as pd

from clipdiff.config import Config
from clipdiff.tables.figures.names import figure_names
from clipdiff.tables.gather import gather
from clipdiff.tables.scope import DIFFERENCE, ZERO_SHOT, families, measures_of, splits_with
from clipdiff.tasks.base import TASKS, Measure, TaskEntry
from clipdiff.tasks.measuring.metrics import Items, Metric


class Sharpness(TaskEntry):
    """A task of somebody else."""

    measures = (Measure("sharp", "sharpness", "degree", "Sharpness of edges", "Sharp", main=True),)

    kind: str = "sharpness"


def with_tasks(config: Config, **tasks: TaskEntry) -> Config:
    """Return a configuration with these entries alone, on all splits."""
    evaluate = config.evaluate.model_copy(update={"tasks": list(tasks)})
    return config.model_copy(update={"evaluate": evaluate, "task_definitions": tasks})


def test_an_entry_of_another_name_counts_by_its_kind(built):
    tasks = {"pairs": TASKS.make({"kind": "difference_classification"}),
             "again": TASKS.make({"kind": "difference_classification"}),
             "names": TASKS.make({"kind": "zero_shot"})}  # fmt: skip
    made = type(built)(built.layout.root, with_tasks(built.config, **tasks)).settings()
    assert measures_of(made) == [DIFFERENCE, ZERO_SHOT]
    assert splits_with(made, DIFFERENCE, ZERO_SHOT) == ["test_scenes", "test_style"]
    assert "tradeoff" in figure_names(made)
    only = made.evaluate.model_copy(update={"tasks": ["names"]})
    assert splits_with(made.model_copy(update={"evaluate": only}), DIFFERENCE) == []


def test_a_family_stands_together_wherever_its_tasks_are():
    last = Measure("last", "last", "acc1", "Last", "Accuracy")
    groups = families([DIFFERENCE, *Sharpness.measures, last])
    assert groups == {"Accuracy": [DIFFERENCE, last], "Sharp": [*Sharpness.measures]}


def test_measures_of_others_are_in_tables_and_report(own):
    class SharpBuilder(type(own)):
        """Plants the outcomes of that task, too."""

        def metrics(self, cell, split, share):
            ids = self.captions.loc[self.captions["split"] == split, "image_id"].to_numpy()
            degree = self.planted(split, "sharp", len(ids)) + share + 0.1 * np.arange(len(ids))
            sharp = Metric("sharpness", "degree", degree, Items(ids, ids), kept=True)
            return [*super().metrics(cell, split, share), sharp]

    kinds = ("difference_classification", "zero_shot", "clip_score")
    tasks = {kind: TASKS.make({}, kind) for kind in kinds}
    config = with_tasks(own.config, **tasks, mine=Sharpness())
    made = SharpBuilder(own.layout.root, config, pairs=20).write()
    gather(made.settings(), made.layout)
    summary = pd.read_csv(made.layout.tables / "summary.csv")
    cells = summary[(summary["task"] == "sharpness") & (summary["weights"] == "finetuned")]
    assert np.allclose(cells["gain"], 1)
    page = re.sub(r"<[^>]+>", " ", made.layout.report.read_text())
    assert re.search(r"Sharpness of edges\s+Yes: 2 better of 2", page)
    assert "### Sharp: test_scenes" in (made.layout.tables / "summary.md").read_text()
