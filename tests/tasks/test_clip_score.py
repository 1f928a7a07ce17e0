"""CLIP-Score: the formula, what is retrieved, and what an edit says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchmetrics.functional.multimodal import clip_score as torchmetrics_clip_score

from clipdiff.tasks.base import TextEmbeds, View
from clipdiff.tasks.clip_score import (
    ClipScore,
    clip_score,
    ref_clip_score,
    retrieve,
)
from clipdiff.tasks.texts.edits import choose_edits


def values(metrics):
    return {metric.metric: metric.value for metric in metrics}


def test_formula_is_hessels():
    text = torch.tensor([[1.0, 0.0], [0.6, 0.8], [1.0, 0.0]])
    image = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    assert clip_score(text, image).tolist() == pytest.approx([2.5, 1.5, 0.0])


def test_reference_formula_is_hessels():
    text = torch.tensor([[1.0, 0.0], [0.6, 0.8], [1.0, 0.0], [1.0, 0.0]])
    image = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    references = torch.tensor(
        [
            [[0.0, 1.0], [1.0, 0.0]],  # 2 * 2.5 * 1 / (2.5 + 1)
            [[0.8, 0.6], [1.0, 0.0]],  # 2 * 1.5 * 0.96 / (1.5 + 0.96)
            [[1.0, 0.0], [0.0, 1.0]],  # the image is wrong
            [[-1.0, 0.0], [0.0, -1.0]],  # no reference says anything like it
        ]
    )
    expected = [5 / 3.5, 2.88 / 2.46, 0.0, 0.0]
    assert ref_clip_score(text, image, references).tolist() == pytest.approx(expected)


class Embedded:
    """Embeddings in the shape of the model and the processor that torchmetrics asks for.

    A "image" is its embedding; a text is the number of a row.
    """

    config = None

    def __init__(self, text_embeds):
        self.text_embeds = text_embeds

    def to(self, device):
        return self

    def __call__(self, images=None, text=None, **options):
        if images is not None:
            return {"pixel_values": torch.stack(images)}
        ids = torch.tensor([int(number) for number in text])
        return {"input_ids": ids, "attention_mask": ids}

    def get_image_features(self, pixel_values):
        return pixel_values.flatten(1)

    def get_text_features(self, input_ids, attention_mask):
        return self.text_embeds[input_ids]


def test_scores_are_torchmetrics_scores():
    generator = torch.Generator().manual_seed(0)
    text, image = torch.nn.functional.normalize(torch.rand(2, 20, 8, generator=generator), dim=2)
    model = Embedded(text)
    expected = torchmetrics_clip_score(
        list(image[:, None, None]), [str(row) for row in range(20)], lambda: (model, model)
    )  # 100 times the mean cosine; none is below 0 here
    assert float(clip_score(text, image).mean()) == pytest.approx(float(expected) * 2.5 / 100)


@pytest.fixture
def task(split, settings):
    return ClipScore().on(split, settings)


@pytest.fixture
def captioned_view(split, task, planted_view):
    """Captions as their own images, edits as the differences that they state."""
    view = planted_view(split, task.edit_texts)
    distinct = list(dict.fromkeys(task.captions))
    images = view.image_embeds[[task.captions.index(text) for text in distinct]]
    texts = [*view.text_embeds.places, *distinct]
    return View(
        TextEmbeds(texts, torch.cat([view.text_embeds.text_embeds, images])), view.image_embeds
    )


def test_a_cell_that_knows_scores_the_most(task, captioned_view):
    got = values(task.measure(captioned_view, captioned_view))
    assert got["retrieval"] == pytest.approx(2.5)
    assert got["retrieval_ref"] == pytest.approx(5 / 3.5)
    assert got["own"] == pytest.approx(2.5)
    assert 2.2 < got["edit"] <= 2.5


def test_edits_move_the_query_to_the_target(task, captioned_view):
    edit = values(task.measure(captioned_view, captioned_view))["edit"]
    task.edit_texts = task.edit_texts[::-1]
    assert values(task.measure(captioned_view, captioned_view))["edit"] < edit - 0.1


def test_the_judge_scores_what_the_cell_retrieves(task, split, captioned_view, random_view):
    cell = random_view(task.texts(), len(split.rows), 0)
    found = retrieve(cell.text_embeds.of(task.captions), cell.image_embeds)
    judged = captioned_view.text_embeds.of(task.captions)
    expected = clip_score(judged, captioned_view.image_embeds[found])
    metric = task.measure(cell, captioned_view)[0]
    assert metric.metric == "retrieval"
    assert metric.values == pytest.approx(expected.numpy())


def test_the_reference_is_the_caption_of_the_found_image(task, split, captioned_view, random_view):
    cell = random_view(task.texts(), len(split.rows), 0)
    found = retrieve(cell.text_embeds.of(task.captions), cell.image_embeds)
    judged = captioned_view.text_embeds.of(task.captions).double().numpy()
    metric = task.measure(cell, captioned_view)[1]
    assert metric.metric == "retrieval_ref"
    for row, place in enumerate(found[:20].tolist()):
        image = captioned_view.image_embeds[place].double().numpy()
        score = 2.5 * max(judged[row] @ image, 0)
        nearest = max(judged[row] @ judged[place], 0)
        expected = 2 / (1 / score + 1 / nearest) if score > 0 and nearest > 0 else 0.0
        assert metric.values[row] == pytest.approx(expected, abs=1e-5)


def test_random_retrieval_scores_as_any_image_does(task, split, captioned_view, random_view):
    judged = captioned_view.text_embeds.of(task.captions)
    anything = 2.5 * (judged @ captioned_view.image_embeds.T).clamp(min=0).mean()
    cell = random_view(task.texts(), len(split.rows), 1)
    got = values(task.measure(cell, captioned_view))
    assert got["retrieval"] == pytest.approx(float(anything), abs=0.15)
    assert got["edit"] == pytest.approx(float(anything), abs=0.15)


def test_edits_say_how_the_target_differs(split, settings):
    rows, texts = choose_edits(split, settings, 500)
    assert len(rows) == len(texts) == 500
    for (source, target), text in zip(rows, texts, strict=True):
        old, new = split.attributes[source], split.attributes[target]
        assert ("larger" in text or "smaller" in text) == (old["size"] != new["size"])
        assert ("more" in text or "fewer" in text) == (old["count"] != new["count"])
        if old["background"] != new["background"]:
            assert text.index(f" {new['background']} ") < text.index(f" {old['background']} ")
        if old["object"] != new["object"]:
            assert f"{new['object']} and the second picture shows {old['object']}" in text


def test_attributes_take_turns_and_edits_change_little_else(split, settings):
    names = ("size", "count", "background", "object")  # the order of templates/scenes.yaml
    rows, _ = choose_edits(split, settings, 500)
    table = np.array([[str(row[name]) for name in names] for row in split.attributes])
    for turn, (source, target) in enumerate(rows[:80]):
        differ = table != table[source]
        candidates = differ[:, turn % len(names)]
        assert candidates[target]
        assert differ.sum(1)[target] == differ.sum(1)[candidates].min()


def test_items_follow_the_seed_and_nothing_else(split, settings):
    rows, _ = choose_edits(split, settings, 500)
    assert np.array_equal(rows, choose_edits(split, settings, 500)[0])
    other = settings.model_copy(update={"seed": 5})
    assert not np.array_equal(rows, choose_edits(split, other, 500)[0])


def test_prefix_is_for_the_scored_captions(split, settings):
    task = ClipScore(score_prefix="A photo of ").on(split, settings)
    assert task.reference_texts() == ["A photo of " + caption for caption in split.captions]
    assert set(task.texts()) >= {*split.captions, *task.reference_texts()}


def test_without_attributes_there_is_no_edit(split, settings, random_view, caplog):
    task = ClipScore().on(replace(split, attributes=[{}] * len(split.rows)), settings)
    assert "no edit CLIP-Score" in caplog.text
    view = random_view(task.texts(), len(split.rows), 0)
    assert [metric.metric for metric in task.measure(view, view)] == [
        "retrieval",
        "retrieval_ref",
        "own",
    ]
