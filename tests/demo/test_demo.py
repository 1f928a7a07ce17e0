"""The embedded default: whole assets, true words, and models that mean something."""

import random

import open_clip
import pytest
import torch
from torch.nn.functional import normalize

from clipdiff.demo.corpus import difference_examples, draw_other, draw_scene, part
from clipdiff.demo.differences import describe, fill_scaffold
from clipdiff.demo.scenes import (
    HELD_OUT_STYLE,
    STYLES,
    TRAIN_STYLES,
    Scene,
    caption,
    objects,
    render,
    sprite,
)
from clipdiff.shipped import ASSETS, damage

CLIP = f"local-dir:{ASSETS / 'clip'}"


def test_assets_are_whole_and_small() -> None:
    assert damage() == []
    total = sum(path.stat().st_size for path in ASSETS.rglob("*") if path.is_file())
    assert total < 30 * 2**20


def test_every_object_is_drawn_in_every_style() -> None:
    assert len(objects()) >= 100
    for style in STYLES:
        for name in objects():
            alpha = sprite(style, name).getchannel("A")
            assert sum(alpha.histogram()[128:]) > 300, (style, name)


def test_styles_differ() -> None:
    for name in objects():
        drawn = {sprite(style, name).tobytes() for style in STYLES}
        assert len(drawn) == len(STYLES), name


def test_scenes_repeat_and_fill_their_frame() -> None:
    scene = Scene("fox", "large", 3, "blue", "noto", 7)
    assert render(scene).tobytes() == render(scene).tobytes()
    assert render(scene).tobytes() != render(scene._replace(seed=8)).tobytes()


def test_captions_name_what_is_there() -> None:
    rng = random.Random(0)
    for _ in range(200):
        scene = draw_scene(rng, "train")
        text = caption(scene)
        entry = objects()[scene.name]
        assert scene.background in text
        assert (entry.singular if scene.count == 1 else entry.plural) in text


def test_parts_are_apart_and_all_used() -> None:
    rng = random.Random(0)
    for name in ("train", "validation", "test"):
        assert part(draw_scene(rng, name)) == name


def test_differences_say_what_differs() -> None:
    rng = random.Random(1)
    for _ in range(200):
        first = draw_scene(rng, "train")
        second = draw_other(rng, first, "train")
        text = describe(first, second, rng)
        assert text
        assert ("background" in text) == (first.background != second.background)
        assert fill_scaffold(first, second).count(first.background) >= 1
    assert describe(first, first, rng) == ""
    assert len(difference_examples(5, 0)) == 5


@pytest.mark.parametrize(
    ("styles", "least"), [(TRAIN_STYLES, 0.70), ((HELD_OUT_STYLE,), 0.30)], ids=["seen", "unseen"]
)
def test_clip_names_objects_in_held_out_scenes(styles: tuple[str, ...], least: float) -> None:
    model, _, preprocess = open_clip.create_model_and_transforms(CLIP)
    model.eval()
    tokenize = open_clip.get_tokenizer(CLIP)
    rng, names = random.Random(11), list(objects())
    scenes = [draw_scene(rng, "test", styles) for _ in range(400)]
    with torch.no_grad():
        images = torch.stack([preprocess(render(scene)) for scene in scenes])
        image_embeds = model.encode_image(images, normalize=True)
        prompts = tokenize([f"This is a photo of a {name}" for name in names])
        text_embeds = normalize(model.encode_text(prompts), dim=-1)
    nearest = (image_embeds @ text_embeds.T).argmax(1)
    acc1 = sum(names[row] == scene.name for row, scene in zip(nearest, scenes, strict=True)) / 400
    assert acc1 >= least
