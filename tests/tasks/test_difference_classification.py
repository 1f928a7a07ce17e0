"""Difference classification: planted directions, chance, and what the items are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_auroc
from torchvision.datasets import Flowers102

from clipdiff.errors import ConfigError, DataError
from clipdiff.tasks.base import View
from clipdiff.tasks.difference_classification import DifferenceClassification, auc_parts
from clipdiff.tasks.measuring.metrics import metric_row
from clipdiff.tasks.measuring.splits import Split
from clipdiff.tasks.texts.attributes import TEMPLATES, Ordinal, class_key, load_templates

TASKS = ["size", "count", "background", "object", "mean"]


def values(metrics):
    """Return every share; ``score`` is no share, and has a test of its own."""
    shares = (metric for metric in metrics if metric.metric != "score")
    return {(metric.task, metric.metric): metric.value for metric in shares}


@pytest.fixture
def task(split, settings):
    return DifferenceClassification().on(split, settings)


def test_planted_directions_score_one_and_negated_images_zero(task, split, planted_view):
    view = planted_view(split, task.texts())
    got = values(task.measure(view, view))
    assert set(got) == {
        (f"difference/{name}", metric)
        for name in TASKS
        for metric in ("accuracy", "auc", "swap_consistency")
    }
    assert set(got.values()) == {1.0}
    flipped = View(view.text_embeds, -view.image_embeds)
    assert set(values(task.measure(flipped, flipped)).values()) == {0.0}


def test_score_is_the_product_that_accuracy_takes_the_sign_of(task, split, random_view):
    view = random_view(task.texts(), len(split.rows), 0)
    by_name = {(m.task, m.metric): m.values for m in task.measure(view, view)}
    for name in TASKS:
        score, right = (
            by_name[f"difference/{name}", "score"],
            by_name[f"difference/{name}", "accuracy"],
        )
        assert ((score > 0) == (right == 1)).all()


def test_random_embeds_are_at_chance(task, split, settings, random_view):
    inside = 0
    for seed in range(6):
        view = random_view(task.texts(), len(split.rows), seed)
        rows = [metric_row(m, split.name, "finetuned", settings) for m in task.measure(view, view)]
        inside += sum(
            row["ci_low"] <= 0.5 <= row["ci_high"]
            for row in rows
            if row["task"] == "difference/object" and row["metric"] in ("accuracy", "auc")
        )
    assert inside >= 10  # of 12 intervals of 95 %


def test_texts_blind_to_direction_score_one_half(task, split, random_view):
    view = random_view(task.texts(), len(split.rows), 0)
    constant = torch.nn.functional.normalize(torch.ones(1, 16), dim=1)
    view.text_embeds.text_embeds = constant.expand(len(view.text_embeds.places), -1)
    got = values(task.measure(view, view))
    assert all(got[f"difference/{name}", "accuracy"] == 0.5 for name in TASKS)
    assert all(got[f"difference/{name}", "auc"] == pytest.approx(0.5) for name in TASKS)
    assert all(got[f"difference/{name}", "swap_consistency"] == 0.0 for name in TASKS)


def test_equal_images_count_one_half(task, split, random_view):
    view = random_view(task.texts(), len(split.rows), 0)
    same = View(view.text_embeds, view.image_embeds[:1].expand(len(split.rows), -1))
    got = values(task.measure(same, same))
    assert got["difference/mean", "accuracy"] == 0.5


def test_pairs_differ_and_texts_are_true(task, split, settings):
    templates = load_templates(settings.templates)
    for pairs in task.attributes:
        held = split.values(pairs.name)
        for (i, j), true, swapped in zip(
            pairs.pair_rows, pairs.true_texts, pairs.swapped_texts, strict=True
        ):
            assert held[i] != held[j]
            assert true == templates[pairs.name].describe(held[i], held[j])
            assert swapped == templates[pairs.name].describe(held[j], held[i]) != true
        for draw in range(settings.draws):
            rows = pairs.pair_rows[pairs.draws == draw]
            assert len(rows) == settings.pairs_per_draw
            assert len(np.unique(rows)) <= settings.images_per_draw
            assert {tuple(row) for row in rows} == {tuple(row[::-1]) for row in rows}
            assert len(np.unique(rows, axis=0)) == len(rows)


def test_texts_state_the_direction(split, settings):
    templates = load_templates("scenes")
    assert "larger" in templates["size"].describe("large", "small")
    assert "smaller" in templates["size"].describe("small", "medium")
    assert "more" in templates["count"].describe(3, 1)
    text = templates["background"].describe("red", "blue")
    assert text.index("red") < text.index("blue")


def test_items_follow_the_seed_and_nothing_else(split, settings):
    first, again = (DifferenceClassification().on(split, settings) for _ in range(2))
    other = DifferenceClassification().on(split, settings.model_copy(update={"seed": 1}))
    for one, two, three in zip(first.attributes, again.attributes, other.attributes, strict=True):
        assert np.array_equal(one.pair_rows, two.pair_rows)
        assert one.true_texts == two.true_texts
        assert not np.array_equal(one.pair_rows, three.pair_rows)


def test_stderr_is_over_draws(task, split, settings, random_view):
    view = random_view(task.texts(), len(split.rows), 3)
    metric = next(m for m in task.measure(view, view) if m.metric == "accuracy")
    pairs = task.attributes[0]
    means = [metric.values[pairs.draws == draw].mean() for draw in range(settings.draws)]
    assert metric.value == pytest.approx(np.mean(means))
    assert metric.stderr == pytest.approx(np.std(means, ddof=1) / np.sqrt(settings.draws))
    row = metric_row(metric, split.name, "finetuned", settings)
    assert row["stderr"] == metric.stderr
    assert row["ci_low"] <= row["value"] <= row["ci_high"]
    assert row["n"] == settings.draws * settings.pairs_per_draw


def test_mean_is_the_mean_of_tasks(task, split, random_view):
    view = random_view(task.texts(), len(split.rows), 4)
    got = values(task.measure(view, view))
    for metric in ("accuracy", "auc", "swap_consistency"):
        tasks = [got[f"difference/{name}", metric] for name in TASKS[:-1]]
        assert got["difference/mean", metric] == pytest.approx(np.mean(tasks))


def test_auc_is_torchmetrics_auc():
    rng = np.random.default_rng(0)
    positives = np.round(rng.normal(0.5, 1, 80), 1)  # rounded, so that some tie
    negatives = np.round(rng.normal(0, 1, 80), 1)
    scores = torch.tensor(np.concatenate([positives, negatives]))
    target = torch.tensor([1] * 80 + [0] * 80)
    expected = binary_auroc(torch.sigmoid(scores), target)
    assert auc_parts(positives, negatives).mean() == pytest.approx(float(expected))


def test_a_value_without_a_place_is_an_error(split, settings):
    attributes = [dict(row) for row in split.attributes]
    attributes[5]["size"] = "enormous"
    with pytest.raises(DataError, match=r"'size' is 'enormous', expected small, medium, large"):
        DifferenceClassification().on(replace(split, attributes=attributes), settings)


def test_an_attribute_that_is_not_there_is_an_error(split, settings):
    attributes = [
        {key: row[key] for key in ("size", "count", "object")} for row in split.attributes
    ]
    with pytest.raises(DataError, match="no image has the attribute 'background'"):
        DifferenceClassification().on(replace(split, attributes=attributes), settings)


def test_an_attribute_that_all_share_is_left_out(split, settings, caplog):
    attributes = [row | {"size": "small"} for row in split.attributes]
    task = DifferenceClassification().on(replace(split, attributes=attributes), settings)
    assert [pairs.name for pairs in task.attributes] == ["count", "background", "object"]
    assert "all images are alike in 'size'" in caplog.text
    same = replace(split, attributes=[attributes[0]] * len(split.rows))
    with pytest.raises(DataError, match=r"no two images differ in an attribute of .*'scenes'"):
        DifferenceClassification().on(same, settings)


def test_images_that_lack_an_attribute_are_left_out(split, settings):
    attributes = [dict(row) for row in split.attributes]
    for row in attributes[::2]:
        del row["size"]
    task = DifferenceClassification().on(replace(split, attributes=attributes), settings)
    size = next(pairs for pairs in task.attributes if pairs.name == "size")
    assert (size.pair_rows % 2 == 1).all()


def test_templates_of_ones_own(tmp_path, split, settings):
    own = tmp_path / "own.yaml"
    own.write_text(
        "count: {kind: ordinal, order: [1, 2, 3], greater: more, less: fewer}\n"
        "background: {kind: nominal, text: '{first} {second}', words: {red: crimson}}\n"
    )
    task = DifferenceClassification().on(split, settings.model_copy(update={"templates": str(own)}))
    assert [pairs.name for pairs in task.attributes] == ["count", "background"]
    assert "crimson blue" in task.texts()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size: {kind: ordinal, order: [a, b], greater: more}", "less"),
        ("size: {kind: nominal, text: 'no places'}", "text"),
        ("size: {kind: cardinal}", "kind"),
        ("[1, 2]", "table of difference texts"),
        ("{}", "empty"),
    ],
)
def test_bad_templates_are_named(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_templates(str(path))
    assert str(path) in str(caught.value)


def test_unknown_templates_get_a_suggestion():
    with pytest.raises(ConfigError, match=r"got 'scene' \(did you mean 'scenes'\?\)"):
        load_templates("scene")


def class_split(split: Split, names: list[str]) -> Split:
    """Relabel the images with other classes in turn, without attributes."""
    labels = np.arange(len(split.rows)) % len(names)
    bare = [{}] * len(split.rows)
    return replace(split, labels=labels, class_names=names, attributes=bare)


def test_values_by_class_name(split, settings):
    names = ["aquarium_fish", "camel", "shrew", "wolf"]
    classes = class_split(split, names)
    task = DifferenceClassification().on(
        classes, settings.model_copy(update={"templates": "cifar100_size"})
    )
    (size,) = task.attributes
    for (first, second), text in zip(size.pair_rows, size.true_texts, strict=True):
        pair = [names[classes.labels[row]] for row in (first, second)]
        assert "aquarium_fish" not in pair
        assert (pair[1] == "shrew") == ("first image contains a larger" in text)
        assert (pair[0] == "shrew") == ("first image contains a smaller" in text)


def test_draws_are_of_images_that_have_the_attribute(split, settings):
    names = [f"other {place}" for place in range(13)] + ["camel", "shrew"]
    changed = {"templates": "cifar100_size", "images_per_draw": 20, "draws": 1}
    task = DifferenceClassification().on(
        class_split(split, names), settings.model_copy(update=changed)
    )  # 20 of 150 images have a size: drawn among all, 2 or 3 would
    assert len(np.unique(task.attributes[0].pair_rows)) == 20


def test_spelling_of_class_names_does_not_count(split, settings):
    names = ["001.Black_footed_Albatross", "029.American_Crow", "067.Anna_Hummingbird", "blue+jay"]
    task = DifferenceClassification().on(
        class_split(split, names), settings.model_copy(update={"templates": "cub200"})
    )
    colour, size = task.attributes
    assert {tuple(row % 4) for row in colour.pair_rows} == {(1, 3), (3, 1)}
    assert {tuple(row % 4) for row in size.pair_rows} == {(0, 2), (2, 0)}


def test_class_names_that_are_not_there_are_told(split, settings, caplog):
    changed = settings.model_copy(update={"templates": "cifar100_size"})
    DifferenceClassification().on(class_split(split, ["camel", "shrew"]), changed)
    assert "no class of the names hamster, leopard, lion" in caplog.text


def test_awa2_predicates_by_name(split, settings):
    whale = dict.fromkeys(load_templates("awa2"), 0) | {"flippers": True, "hairless": True}
    zebra = dict.fromkeys(load_templates("awa2"), 1) | {"flippers": False, "hairless": False}
    attributes = [dict(row) for row in [zebra, whale] * (len(split.rows) // 2)]
    changed = settings.model_copy(update={"templates": "awa2"})
    task = DifferenceClassification().on(replace(split, attributes=attributes), changed)
    for pairs in task.attributes:
        for (first, _), text in zip(pairs.pair_rows, pairs.true_texts, strict=True):
            is_zebra = first % 2 == 0
            if pairs.name == "stripes":
                assert (text.index("has stripes") < text.index("has no stripes")) == is_zebra
            if pairs.name == "hairless":
                assert (text.index("is hairless") > text.index("is not hairless")) == is_zebra


def test_flowers_are_named_as_their_data_set_names_them():
    names = {class_key(name) for name in Flowers102.classes}
    assert len(names) == 102
    held = load_templates("flowers102_colour")["colour"].classes
    assert {class_key(name) for name in held} <= names


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_texts_state_opposite_directions(path):
    for attribute in load_templates(path.stem).values():
        if isinstance(attribute, Ordinal):
            assert attribute.greater != attribute.less
            low, high = (0, 1) if attribute.order == "numeric" else attribute.order[:2]
            assert attribute.describe(high, low) == attribute.greater
            assert attribute.describe(low, high) == attribute.less
