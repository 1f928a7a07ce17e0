"""The text of every item, found again without a model, against what a real evaluation scored."""

import open_clip
import pandas as pd
import pytest
import torch

from clipdiff.errors import DataError
from clipdiff.evaluate.item_texts import item_texts

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
    settings = bench.settings(tasks=TASKS, class_pairs=4)
    _, items = bench.run(settings, name="texts", captions=captions)
    return settings, captions, items[items["weights"] == "finetuned"]


def test_every_item_has_the_text_of_its_own_pictures(bench, measured):
    settings, captions, items = measured
    kinds = set()
    for (task, split, metric), part in items.groupby(["task", "split", "metric"]):
        found = item_texts(settings, captions, bench.root, split, task, metric)
        assert set(found) == set(part["item_id"])
        for row in part.itertuples():
            second = [] if pd.isna(row.image_id_2) else [row.image_id_2]
            assert found[row.item_id].ids == (row.image_id_1, *second)
            assert found[row.item_id].text
        kinds.add(task.split("/")[0])
    assert kinds == {"difference", "zero_shot", "clip_score", "geometry"}


def test_scores_are_those_of_the_texts(bench, measured):
    """Score every item of a split anew, by open_clip alone."""
    settings, captions, items = measured
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{bench.cell}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{bench.cell}")
    places = {image_id: place for place, image_id in enumerate(bench.table["image_id"])}
    part = items[(items["split"] == "test_scenes") & (items["metric"] == "score")]
    part = part[part["task"] == "difference/mean"].sort_values("item_id")
    found = item_texts(settings, captions, bench.root, "test_scenes", "difference/mean", "score")
    with torch.no_grad():
        texts = tokenizer([found[item].text for item in part["item_id"]])
        text_embeds = model.eval().encode_text(texts, normalize=True)
    first, second = ([places[i] for i in part[f"image_id_{side}"]] for side in (1, 2))
    differences = bench.image_embeds[first] - bench.image_embeds[second]
    scores = (text_embeds * differences).sum(1)
    torch.testing.assert_close(
        scores, torch.tensor(part["value"].to_numpy(), dtype=torch.float32), atol=1e-5, rtol=1e-4
    )


def test_edits_and_classes_are_named(bench, measured):
    settings, captions, _ = measured
    found = item_texts(settings, captions, bench.root, "test_scenes", "geometry", "direction")
    assert {name for text in found.values() for name in text.classes} == {
        f"class {k}" for k in range(4)
    }
    edits = item_texts(settings, captions, bench.root, "test_scenes", "clip_score", "edit")
    shown = bench.table.set_index("image_id")["caption"]
    assert all(text.text.startswith(f"{shown[text.ids[0]]} + ") for text in edits.values())


def test_what_the_clip_chose_is_not_guessed_and_a_lost_split_is_told(bench, measured):
    settings, captions, _ = measured
    task = ("comparative_prompting", "acc1")
    assert item_texts(settings, captions, bench.root, "test_scenes", *task) == {}
    with pytest.raises(DataError, match="no picture has split 'gone'"):
        item_texts(settings, captions, bench.root, "gone", "zero_shot", "acc1")
