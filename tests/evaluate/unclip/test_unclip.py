"""Edit CLIP-Score by unCLIP: the real pipeline class with random weights, and what it makes."""

import io
import shutil
import sys

import huggingface_hub
import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn.functional import normalize

from clipdiff.errors import ConfigError, ModelError
from clipdiff.evaluate.inputs import read_inputs
from clipdiff.evaluate.sheet import GAP, SIDE, draw_sheet
from clipdiff.evaluate.unclip import Painter, expected_norm, load_pipeline
from clipdiff.settings import Clip
from clipdiff.tasks.base import TextEmbeds, View
from clipdiff.tasks.clip_score import ClipScore, Unclip, clip_score
from clipdiff.tasks.measuring.metrics import metric_row
from clipdiff.tasks.texts.edits import image_seeds
from clipdiff.towers.encode import encode_texts
from clipdiff.towers.load import load_clip

SPLITS = ["validation", "test_scenes"]
SECTION = {"edits": 5, "steps": 2, "batch": 2, "guidance": 3.0, "shown": 3}


@pytest.fixture(scope="module")
def decoder(shared, save_unclip):
    return save_unclip(shared.root / "decoder", shared.clip)


@pytest.fixture
def section(decoder):
    return Unclip(model=str(decoder), **SECTION)


@pytest.fixture
def judge(bench):
    return load_clip(Clip(model=f"local-dir:{bench.clip}"))


@pytest.fixture
def inputs(bench, judge):
    return read_inputs(bench.captions, bench.embeds, SPLITS, judge)


def run(bench, section, **options):
    return bench.run(judged(bench, section), **options)


def judged(bench, section, alphas=(1.0,)):
    """Settings of an evaluation by CLIP-Score alone, of 12 edits, some of them decoded."""
    own = {"clip_score": {"edits": 12, "unclip": section}}
    return bench.settings(own, tasks=["clip_score"], wise_alphas=list(alphas))


def painted(items, split, weights):
    part = items.query("metric == 'edit_unclip' and split == @split and weights == @weights")
    return part.reset_index(drop=True)


@pytest.mark.parametrize("seed", [None, 6], ids=["same_judge", "another_judge"])
def test_an_edit_is_decoded_and_scored_as_by_hand(
    bench, section, inputs, make_clip, tmp_path, seed
):
    """Every step again by the libraries alone, one image at a time."""
    from diffusers import StableUnCLIPImg2ImgPipeline

    settings = judged(bench, section)
    folder = make_clip(tmp_path / "judge", seed) if seed is not None else bench.clip
    reference = Clip(model=f"local-dir:{folder}")
    _, items = bench.run(settings.model_copy(update={"reference_clip": reference}))
    got = painted(items, "test_scenes", "finetuned")
    task = ClipScore(edits=12).on(inputs.splits[1], settings.evaluate)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{bench.clip}")
    first = bench.table[bench.table["split"] == "validation"]["image"][:32]
    opened = [preprocess(Image.open(io.BytesIO(data)).convert("RGB")) for data in first]
    lengths = model.eval().encode_image(torch.stack(opened)).detach().norm(dim=1)
    judge, _, preprocess = open_clip.create_model_and_transforms(reference.model)
    judge.eval()
    cell = load_clip(Clip(model=f"local-dir:{bench.cell}"))
    pipeline = StableUnCLIPImg2ImgPipeline.from_pretrained(section.model)
    known = bench.table.set_index("image_id")["caption"]
    for place, item in got.iterrows():
        texts = [known[item["image_id_1"]], task.edit_texts[place]]
        query = normalize(encode_texts(cell, texts).sum(0, keepdim=True), dim=1)
        noise = image_seeds("test_scenes", 5, 0)[place]
        image = pipeline(
            image_embeds=query * lengths.square().mean().sqrt(),
            generator=torch.Generator().manual_seed(noise),
            num_inference_steps=2,
            guidance_scale=3.0,
        ).images[0]
        with torch.no_grad():
            seen = judge.encode_image(preprocess(image)[None], normalize=True)
            tokens = open_clip.tokenize([known[item["image_id_2"]]])
            said = judge.encode_text(tokens, normalize=True)
        assert item["value"] == pytest.approx(2.5 * max(float(seen @ said.T), 0), abs=2e-3)
    assert got["value"].nunique() > 1
    assert got["item_id"].tolist() == list(range(5))


def test_runs_are_equal_whatever_the_batch_and_add_a_metric_only(bench, section):
    rows, items = run(bench, section)
    again, items_again = run(bench, section, name="again")
    pd.testing.assert_frame_equal(rows, again)
    pd.testing.assert_frame_equal(items, items_again)
    _, other = run(bench, section.model_copy(update={"batch": 4}), name="batch")
    pd.testing.assert_frame_equal(items, other, check_exact=False, atol=2e-3)
    plain, items_plain = run(bench, None, name="plain")
    kept = items[items["metric"] != "edit_unclip"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, items_plain)
    assert len(rows) == len(plain) + len(SPLITS)
    assert (rows.query("metric == 'edit_unclip'")["n"] == section.edits).all()


def test_the_judge_keeps_its_weights_and_every_cell_its_noise(bench, section):
    """Averaged by 0, the cell is the pretrained CLIP, though other weights were loaded before."""
    settings = judged(bench, section, [1.0, 0.0])
    _, cell = bench.run(settings)
    _, alone = run(bench, section, model=None, name="alone")
    for split in SPLITS:
        zero = painted(cell, split, "pretrained")
        pd.testing.assert_frame_equal(zero, painted(alone, split, "pretrained"))
        assert not zero["value"].equals(painted(cell, split, "finetuned")["value"])


def test_images_of_random_weights_score_as_any_image_does(bench, section, inputs, judge):
    """Their interval holds the mean over all images and captions, paired or not."""
    split, settings = inputs.splits[0], bench.settings().evaluate
    many = section.model_copy(update={"edits": 60, "steps": 1, "batch": 30})
    task = ClipScore(edits=60, unclip=many).on(split, settings)
    painter = Painter(many, inputs, judge)
    made = []

    def paint(_, image_embeds, seeds):
        made.append(painter.paint(image_embeds, seeds))
        return made[-1]

    images = inputs.parts(inputs.image_embeds)[split.name]
    texts = list(dict.fromkeys(task.texts()))
    view = View(TextEmbeds(texts, encode_texts(judge, texts)), images, paint=paint)
    metric = next(m for m in task.measure(view, view) if m.metric == "edit_unclip")
    row = metric_row(metric, split.name, "pretrained", settings)
    said = view.text_embeds.of([split.captions[target] for target in task.edit_rows[:, 1]])
    assert metric.values == pytest.approx(clip_score(said, made[0].image_embeds).numpy())
    anything = 2.5 * float((said @ made[0].image_embeds.T).clamp(min=0).mean())
    assert row["ci_low"] <= anything <= row["ci_high"]
    assert metric.values.std() > 0.05


def test_the_length_is_the_root_mean_square():
    assert expected_norm(torch.tensor([[3.0, 4.0], [0.0, 1.0]])) == pytest.approx(np.sqrt(13))
    generator = torch.Generator().manual_seed(0)
    mean, std = torch.rand(2, 64, generator=generator)
    sample = mean + std * torch.randn(20_000, 64, generator=generator)
    known = (mean.square() + std.square()).sum().sqrt()
    assert expected_norm(sample) == pytest.approx(float(known), rel=5e-3)


def test_seeds_are_an_items_own():
    seeds = image_seeds("test", 200, 0)
    assert len({*seeds, *image_seeds("other", 200, 0), *image_seeds("test", 200, 1)}) == 600
    assert image_seeds("test", 3, 0) == seeds[:3]


def test_sheets_show_the_first_images(bench, section):
    run(bench, section, name="seed0")
    sheets = sorted(path.name for path in (bench.root / "seed0.pictures").iterdir())
    assert sheets == sorted(f"{split}-finetuned.png" for split in SPLITS)
    with Image.open(bench.root / "seed0.pictures" / sheets[0]) as sheet:
        assert sheet.width == 3 * (SIDE + GAP) + GAP
    run(bench, section.model_copy(update={"shown": 0}), name="none")
    assert not (bench.root / "none.pictures").exists()


def test_images_stand_in_order_above_their_legends():
    colours = ["red", "green", "blue", "yellow", "black"]
    shown = [(Image.new("RGB", (64, 32), colour), f"{colour}\n" * 3) for colour in colours]
    sheet = draw_sheet(shown)
    step_y = (sheet.height - GAP) // 2
    for place, (image, _) in enumerate(shown):
        left, top = GAP + place % 4 * (SIDE + GAP), GAP + place // 4 * step_y
        assert sheet.getpixel((left + SIDE - 1, top + SIDE // 2 - 1)) == image.getpixel((0, 0))
        assert sheet.getpixel((left, top + SIDE // 2 + 1)) == (255, 255, 255)
        legend = sheet.crop((left, top + SIDE, left + SIDE, top + step_y)).convert("L")
        assert legend.getextrema()[0] < 128


def test_without_the_section_diffusers_is_not_needed(bench, section, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    rows, _ = run(bench, None)
    assert "edit_unclip" not in set(rows["metric"])
    with pytest.raises(ModelError, match=r"pip install 'clipdiff\[unclip\]'"):
        run(bench, section)


def test_a_decoder_of_another_clip_is_refused(bench, section, make_clip, save_unclip, tmp_path):
    same_width = save_unclip(tmp_path / "decoder", bench.cell)
    with pytest.raises(ModelError, match=r"mean cosine with those here is .*fits one CLIP only"):
        run(bench, section.model_copy(update={"model": str(same_width)}))
    clip = make_clip(tmp_path / "wider", seed=0, embed_dim=24)
    judge = load_clip(Clip(model=f"local-dir:{clip}"))
    bench.write_embeds(bench.embed(clip))
    inputs = read_inputs(bench.captions, bench.embeds, SPLITS, judge)
    with pytest.raises(ModelError, match="width 16, those here 24"):
        Painter(section, inputs, judge)


def test_what_can_not_be_loaded_or_asked_is_told(bench, section, tmp_path):
    missing = section.model_copy(update={"model": str(bench.clip)})
    with pytest.raises(ModelError, match=r"can't be loaded.*StableUnCLIPImg2ImgPipeline"):
        run(bench, missing)
    with pytest.raises(ConfigError, match="noise_level: got 1000, expected less than 1000"):
        run(bench, section.model_copy(update={"noise_level": 1000}))


def test_pickled_weights_are_not_read(bench, section, save_unclip, tmp_path):
    pickled = save_unclip(tmp_path / "decoder", bench.clip)
    weights = pickled / "unet/diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(ModelError, match=r"can't be loaded.*safetensors"):
        run(bench, section.model_copy(update={"model": str(pickled)}))


def test_a_hub_name_is_read_from_the_cache_at_its_revision(section, decoder, monkeypatch, tmp_path):
    held, newest = "a" * 40, "b" * 40
    cached = tmp_path / "models--someone--decoder"
    shutil.copytree(decoder, cached / "snapshots" / held)
    (cached / "snapshots" / newest).mkdir()
    (cached / "refs").mkdir()
    (cached / "refs/main").write_text(newest)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    named = section.model_copy(update={"model": "someone/decoder", "revision": held})
    loaded = load_pipeline(named, torch.float32).unet.state_dict()
    weights = load_file(decoder / "unet/diffusion_pytorch_model.safetensors")
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())
    with pytest.raises(ModelError, match="'someone/decoder' can't be loaded"):
        load_pipeline(named.model_copy(update={"revision": None}), torch.float32)


def test_images_that_are_not_finite_are_told(section, inputs, judge):
    painter = Painter(section, inputs, judge)
    painter.pipeline.vae.decoder.conv_out.bias.data.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"not finite in torch\.float32"):
        painter.paint(inputs.image_embeds[:1], [0])
