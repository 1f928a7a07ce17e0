"""Does a task measure the same items for every model, and chance on random embeddings?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from clipdiff.settings import Evaluate
from clipdiff.tasks.base import Task, TaskEntry, TextEmbeds, Validation, View
from clipdiff.tasks.measuring.metrics import Metric, metric_row
from clipdiff.tasks.measuring.splits import Split
from clipdiff.testing.entry_checks import check_entry

WIDTH = 16
MODELS = 12  # random ones, whose mean has to be chance
ERRORS = 4  # standard errors that it may be away
ROUNDING = 1e-9

Name = tuple[str, str]  # of a metric: its task and its own, as in the metrics files


def check_task(
    entry: TaskEntry,
    split: Split,
    chance: Mapping[Name, float],
    validation: Split | None = None,
    evaluate: Evaluate | None = None,
    absent: Iterable[str] = (),
) -> None:
    """Check a task on one split, with models whose embeddings are random.

    Args:
        entry: with the settings to check.
        split: images that it can be measured on; a few dozen.
        chance: what metrics are on random embeddings, by their task and name, where that is known.
        validation: the split on which it makes its choices, if it makes any.
        evaluate: the section as it holds for the split; None for its defaults.
        absent: names of ``measures`` that this split can't have.

    Raises:
        AssertionError: says what does not hold.
    """
    check_entry(entry)
    if evaluate is None:
        evaluate = Evaluate(tasks=[entry.kind], splits=[split.name], wise_alphas=[1.0])
    bench = _Bench(entry, split, validation, evaluate)
    task = bench.task()
    _check_texts(task, bench.task())
    rounds = [bench.measure(task, seed) for seed in range(MODELS)]
    _check_metrics(entry, rounds[0], evaluate)
    _check_measures(entry, rounds[0], set(absent))
    _check_items(entry, split, rounds)
    _check_twice(bench, rounds[0])
    _check_chance(rounds, chance)
    _check_item_texts(task, rounds[0])
    first, second = (list(entry.questions(split, evaluate, bench.validation())) for _ in range(2))
    assert first == second, "questions() yields others the second time"


@dataclass(frozen=True)
class _Bench:
    """The task's surroundings: a split, and models that know nothing of it."""

    entry: TaskEntry
    split: Split
    choices: Split | None
    evaluate: Evaluate

    def validation(self) -> Validation | None:
        """Return what a task makes its choices on, as a model sees it that knows nothing."""
        if self.choices is None:
            return None
        images = _random(len(self.choices.image_ids), 1000)
        return Validation(self.choices, images, lambda texts: _random(len(texts), 1001))

    def task(self) -> Task:
        """Make the task."""
        return self.entry.on(self.split, self.evaluate, self.validation())

    def measure(self, task: Task, seed: int) -> dict[Name, Metric]:
        """Measure a random model; return its metrics by name."""
        cell, judge = (
            self._view(texts, 2 * seed + place)
            for place, texts in enumerate((task.texts(), task.reference_texts()))
        )
        before = cell.image_embeds.clone(), cell.text_embeds.text_embeds.clone()
        metrics = list(task.measure(cell, judge))
        after = cell.image_embeds, cell.text_embeds.text_embeds
        assert all(map(torch.equal, before, after)), (
            "measure() changes the embeddings that it is given, which other tasks get, too"
        )
        names = [(metric.task, metric.metric) for metric in metrics]
        assert len(set(names)) == len(names), f"measure() returns a metric twice: {names}"
        return dict(zip(names, metrics, strict=True))

    def _view(self, texts: Sequence[str], seed: int) -> View:
        distinct = list(dict.fromkeys(texts))
        choices = None
        if self.choices is not None:
            choices = _random(len(self.choices.image_ids), 3 * seed + 2)
        return View(
            TextEmbeds(distinct, _random(len(distinct), 3 * seed)),
            _random(len(self.split.image_ids), 3 * seed + 1),
            choices,
        )


def _random(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, WIDTH, generator=generator), dim=1)


def _check_texts(task: Task, again: Task) -> None:
    for name in ("texts", "reference_texts"):
        texts = getattr(task, name)()
        assert all(isinstance(text, str) and text.strip() for text in texts), (
            f"{name}() holds something that is no text, or is empty"
        )
        assert texts == getattr(again, name)(), (
            f"{name}() differs when the task is made again from the same split and settings"
        )


def _check_metrics(entry: TaskEntry, metrics: dict[Name, Metric], evaluate: Evaluate) -> None:
    assert metrics, "measure() returns no metric"
    for name, metric in metrics.items():
        assert entry.is_of(metric.task), (
            f"metric {name} is of a task that the entry does not call its own: is_of() says no"
        )
        values = np.asarray(metric.values)
        assert len(values) == len(metric.items.ids), f"metric {name}: as many values as items"
        assert np.isfinite(values).all(), f"metric {name} has values that are not finite"
        row = metric_row(metric, "split", "1.0", evaluate)
        low, value, high = (float(str(row[key])) for key in ("ci_low", "value", "ci_high"))
        assert np.isfinite([low, value, high]).all(), f"metric {name}: its interval is not finite"
        assert low - ROUNDING <= value <= high + ROUNDING, (
            f"metric {name}: {value:.4g} lies outside its own interval {low:.4g} to {high:.4g}"
        )


def _check_measures(entry: TaskEntry, metrics: dict[Name, Metric], absent: set[str]) -> None:
    names = {measure.name for measure in entry.measures}
    assert names, "measures is empty; the tables would show nothing of the task"
    assert absent <= names, f"absent names {sorted(absent - names)}, which measures does not have"
    lacking = [
        measure.name
        for measure in entry.measures
        if measure.name not in absent and (measure.task, measure.metric) not in metrics
    ]
    assert not lacking, f"measures names {lacking}, and measure() returned {sorted(metrics)}"
    for measure in entry.measures:
        metric = metrics.get((measure.task, measure.metric))
        assert measure.grouped or metric is None or metric.kept, (
            f"the metric of measure {measure.name} is not kept, so cells can't be compared by items"
        )


def _check_items(entry: TaskEntry, split: Split, rounds: list[dict[Name, Metric]]) -> None:
    first, *others = rounds
    for metrics in others:
        assert set(metrics) == set(first), "which metrics there are depends on the model"
    compared = {name: metric for name, metric in first.items() if metric.kept}
    for name, metric in compared.items():
        ids = metric.items.ids
        assert len(np.unique(ids)) == len(ids), f"metric {name}: two items have the same id"
        for metrics in others:
            same = np.array_equal(metrics[name].items.ids, ids)
            assert same, f"metric {name}: which items there are depends on the model"
        if not entry.items_are_classes:
            for images in metric.items.image_ids:
                strange = np.setdiff1d(images, split.image_ids)
                assert not len(strange), f"metric {name}: {strange[:3]} are no images of the split"


def _check_twice(bench: _Bench, first: dict[Name, Metric]) -> None:
    for name, metric in bench.measure(bench.task(), 0).items():
        assert np.array_equal(metric.values, first[name].values), (
            f"metric {name}: the same model had other values the second time"
        )


def _check_chance(rounds: list[dict[Name, Metric]], chance: Mapping[Name, float]) -> None:
    for name, expected in chance.items():
        assert name in rounds[0], f"chance names {name}, and measure() returned {sorted(rounds[0])}"
        values = np.array([metrics[name].value for metrics in rounds])
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - expected) <= ERRORS * error + ROUNDING, (
            f"metric {name}: {len(values)} random models have {values.mean():.4g} on average "
            f"(standard error {error:.2g}), and chance is {expected:.4g}"
        )


def _check_item_texts(task: Task, metrics: dict[Name, Metric]) -> None:
    compared = {name: metric for name, metric in metrics.items() if metric.kept}
    for name, metric in compared.items():
        strange = set(task.item_texts(*name)) - set(metric.items.ids.tolist())
        assert not strange, f"metric {name}: item_texts() has items {sorted(strange)[:3]} too many"
