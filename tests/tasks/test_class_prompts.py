"""Prompt sets: what a setting names, and class embeddings that are open_clip's."""

import json

import open_clip
import pytest
import torch

from clipdiff.errors import ConfigError
from clipdiff.shipped import path_of
from clipdiff.tasks.texts.class_prompts import PROMPTS, class_embeds, class_prompts, load_prompts
from clipdiff.tasks.zero_shot import ZeroShot

NAMES = ["red fox", "palm tree", "boat"]


@pytest.mark.parametrize("prompt", ["This is a photo of a {label}", "imagenet80", "cifar"])
def test_class_embeds_are_open_clips_to_the_last_digit(prompt):
    name = f"local-dir:{path_of('demo:clip')}"
    model, tokenizer = open_clip.create_model(name).eval(), open_clip.get_tokenizer(name)
    expected = open_clip.build_zero_shot_classifier(
        model, tokenizer, NAMES, load_prompts(prompt), num_classes_per_batch=None
    )
    with torch.no_grad():
        texts = model.encode_text(tokenizer(class_prompts(prompt, NAMES)), normalize=True)
    assert torch.equal(class_embeds(texts, len(NAMES)), expected.T)


def test_class_embeds_are_normalised_means():
    texts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.6, 0.8]])
    expected = torch.tensor([[0.5**0.5, 0.5**0.5], [0.6, 0.8]])
    assert torch.allclose(class_embeds(texts, 2), expected)


def test_open_clips_own_80_prompts():
    texts = class_prompts("imagenet80", ["fox"])
    assert texts == [template("fox") for template in open_clip.OPENAI_IMAGENET_TEMPLATES]
    assert len(texts) == 80


@pytest.mark.parametrize("path", sorted(PROMPTS.glob("*.txt")), ids=lambda path: path.stem)
def test_shipped_sets_name_the_class_once(path):
    texts = class_prompts(path.stem, ["zebra"])
    assert texts
    assert len(set(texts)) == len(texts)
    assert all(text.count("zebra") == 1 and "{" not in text for text in texts)


def test_the_papers_set_is_the_default_prompt(settings):
    assert class_prompts("paper", NAMES) == class_prompts(settings.prompt, NAMES)


def test_a_split_names_its_own_prompts(split, settings):
    own = settings.model_validate(
        json.loads(settings.model_dump_json()) | {"per_split": {split.name: {"prompt": "cifar"}}}
    )
    entry, count = ZeroShot(), len(split.class_names)
    assert len(entry.on(split, own.for_split(split.name)).prompts) == 6 * count
    assert len(entry.on(split, own.for_split("test_scenes")).prompts) == count


def test_a_set_of_ones_own(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("# two\na {label}\n\nthe {label}\n")
    assert class_prompts(str(path), ["fox", "owl"]) == ["a fox", "the fox", "a owl", "the owl"]


@pytest.mark.parametrize(
    ("text", "message"), [("a fox\n", "'a fox', expected texts with {label}"), ("#\n", "no line")]
)
def test_a_bad_set_is_named(tmp_path, text, message):
    path = tmp_path / "bad.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_prompts(str(path))
    assert str(path) in str(caught.value)


def test_an_unknown_set_gets_a_suggestion():
    with pytest.raises(ConfigError, match=r"got 'imagenet8' \(did you mean 'imagenet80'\?\)"):
        load_prompts("imagenet8")
