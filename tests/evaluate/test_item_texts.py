"""The text of every item, told again without a model, against what a real evaluation scored."""

import open_clip
import pandas as pd
import pytest
import torch

from clipdiff.evaluate.item_texts import item_texts
from clipdiff.grid import Layout

TASKS = ["difference_classification", "zero_shot", "clip_score", "geometry"]


@pytest.fixture
def measured(bench) -> tuple:
    """Settings and items of one evaluation with all tasks that need no model to choose."""
    captions = bench.changed_captions(
        label=[f"class {row % 4}" for row in range(len(bench.table))],
        attributes=[
            f'{{"size": "{"small" if row % 4 < 2 else "large"}", "count": {1 + row % 4}, '
            f'"background": "{["red", "blue"][row % 2]}", "object": "class {row % 4}"}}'
            for row in range(len(bench.table))
        ],
    )
    settings = bench.settings({"geometry": {"class_pairs": 4}}, tasks=TASKS)
    _, items = bench.run(settings, name="texts", captions=captions)
    layout = Layout(bench.root / "changed")
    return settings.result(), layout, items[items["weights"] == "finetuned"]


def test_every_item_has_the_text_of_its_own_images(bench, measured):
    values, layout, items = measured
    kinds = set()
    for (task, split, metric), part in items.groupby(["task", "split", "metric"]):
        found = item_texts(values, layout, split, task, metric)
        assert found.of_classes == (task == "geometry")
        assert set(found.texts) == set(part["item_id"])
        for row in part.itertuples():
            second = [] if pd.isna(row.image_id_2) else [row.image_id_2]
            assert found.texts[row.item_id].ids == (row.image_id_1, *second)
            assert found.texts[row.item_id].text
        kinds.add(task.split("/")[0])
    assert kinds == {"difference", "zero_shot", "clip_score", "geometry"}


def test_scores_are_those_of_the_texts(bench, measured):
    """Score every item of a split anew, by open_clip alone."""
    values, layout, items = measured
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{bench.cell}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{bench.cell}")
    places = {image_id: place for place, image_id in enumerate(bench.table["image_id"])}
    part = items[(items["split"] == "test_scenes") & (items["metric"] == "score")]
    part = part[part["task"] == "difference/mean"].sort_values("item_id")
    texts_of = item_texts(values, layout, "test_scenes", "difference/mean", "score").texts
    with torch.no_grad():
        texts = tokenizer([texts_of[item].text for item in part["item_id"]])
        text_embeds = model.eval().encode_text(texts, normalize=True)
    first, second = ([places[i] for i in part[f"image_id_{side}"]] for side in (1, 2))
    differences = bench.image_embeds[first] - bench.image_embeds[second]
    scores = (text_embeds * differences).sum(1)
    torch.testing.assert_close(
        scores, torch.tensor(part["value"].to_numpy(), dtype=torch.float32), atol=1e-5, rtol=1e-4
    )


def test_edits_and_classes_are_named(bench, measured):
    values, layout, _ = measured
    classes = item_texts(values, layout, "test_scenes", "geometry", "direction").texts
    assert {name for text in classes.values() for name in text.classes} == {
        f"class {k}" for k in range(4)
    }
    edits = item_texts(values, layout, "test_scenes", "clip_score", "edit").texts
    captions = bench.table.set_index("image_id")["caption"]
    assert all(text.text.startswith(f"{captions[text.ids[0]]} + ") for text in edits.values())


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("comparative_prompting", "the cell's CLIP chose it"),
        ("linear_probe", "a regression on image embeddings reads no text"),
        ("difference/size", "no task 'difference/size' on test_scenes"),
        ("someones_own", "no task 'someones_own' on test_scenes"),
    ],
)
def test_what_has_no_text_says_why(bench, task, reason):
    settings = bench.settings(tasks=["comparative_prompting", "linear_probe"])
    got = item_texts(settings.result(), bench.layout, "test_scenes", task, "acc1")
    assert not got.texts
    assert reason in got.reason


def test_what_is_no_more_as_it_was_is_told(bench, measured):
    values, layout, _ = measured
    got = item_texts(values, layout, "gone", "zero_shot", "acc1")
    assert "no image has split 'gone'" in got.reason
    got = item_texts(values | {"added": 1}, layout, "test_scenes", "geometry", "direction")
    assert got.reason == "settings of another version (1 faults)"
    assert got.of_classes
    assert not item_texts({}, layout, "test_scenes", "zero_shot", "acc1").of_classes
