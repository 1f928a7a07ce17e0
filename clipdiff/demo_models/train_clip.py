"""Pretrain the demo's CLIP on emoji scenes: ``python -m clipdiff.demo_models.train_clip FOLDER``.

A 1.4 M-parameter ResNet at 64 pixels and a 3-layer text transformer with a vocabulary of its own,
trained with open_clip's ClipLoss. Twelve to twenty minutes on two cores. It sees only scenes of
the train part in the training styles, and no difference text.
"""

import json
import logging
import math
import random
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import open_clip
import torch
from open_clip.loss import ClipLoss
from open_clip.model import CLIP
from safetensors.torch import save_file
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from torch import Tensor
from torch.nn.functional import normalize
from transformers import PreTrainedTokenizerFast

from clipdiff.demo.corpus import difference_examples, draw_scene
from clipdiff.demo.differences import phrase
from clipdiff.demo.scenes import Scene, caption, render
from clipdiff.towers.text import TextTower

log = logging.getLogger(__name__)

POOL = 30_000
BATCH = 224
CYCLES = ((2_600, 2e-3), (1_800, 1.5e-3))  # steps and peak lr; each cycle draws a pool of its own
# Web captions seldom name everything in an image; texts that name a part of it make objects count.
PARTIAL_SHARE = 0.6
PARTIAL_CAPTIONS = (
    "{object}",
    "a photo of {object}",
    "this is a photo of {object}",
    "a picture of {object}",
    "an emoji of {object}",
    "{object} on {background}",
)
PIXEL_MEAN, PIXEL_STD = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]
TEXT_CONTEXT = 64
MODEL_CFG = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 2, 1], "width": 16, "head_width": 64},
    "text_cfg": {
        "context_length": TEXT_CONTEXT,
        "width": 128,
        "heads": 4,
        "layers": 3,
        "hf_tokenizer_name": "tokenizer.json",
        "tokenizer_kwargs": {},
    },
}


def train_tokenizer() -> PreTrainedTokenizerFast:
    """Train a lower-case BPE whose end-of-text token has the highest id (argmax pooling)."""
    rows = difference_examples(20_000, seed=1)
    texts = [text for row in rows for text in row]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=1_500,
            special_tokens=["<pad>", "<start_of_text>"],
            initial_alphabet=sorted(alphabet),
        ),
    )
    tokenizer.add_special_tokens(["<end_of_text>"])
    ends = [(name, tokenizer.token_to_id(name)) for name in ("<start_of_text>", "<end_of_text>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start_of_text> $A <end_of_text>", special_tokens=ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<start_of_text>",
        eos_token="<end_of_text>",
        model_max_length=TEXT_CONTEXT,
    )


def write_config(folder: Path, vocab_size: int) -> None:
    """Write ``open_clip_config.json`` beside the tokenizer."""
    model_cfg = json.loads(json.dumps(MODEL_CFG))
    model_cfg["text_cfg"]["vocab_size"] = vocab_size
    preprocess_cfg = {"mean": PIXEL_MEAN, "std": PIXEL_STD, "interpolation": "bicubic"}
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")


def pretraining_caption(scene: Scene, rng: random.Random) -> str:
    """Describe a scene in full, or name a part of what it shows."""
    if rng.random() > PARTIAL_SHARE:
        return caption(scene)
    words = {"object": phrase(scene), "background": scene.background}
    return rng.choice(PARTIAL_CAPTIONS).format(**words)


def render_pool(count: int, seed: int) -> tuple[Tensor, list[str]]:
    """Return (count, 3, 64, 64) uint8 images of train scenes, and their captions."""
    rng = random.Random(seed)
    pixels = torch.empty(count, 3, 64, 64, dtype=torch.uint8)
    captions = []
    for row in range(count):
        scene = draw_scene(rng, "train")
        small = render(scene).resize((64, 64), resample=3)
        flat = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
        pixels[row] = flat.view(64, 64, 3).permute(2, 0, 1)
        captions.append(pretraining_caption(scene, rng))
    return pixels, captions


def train(folder: Path, cycles: Sequence[tuple[int, float]] = CYCLES, pool: int = POOL) -> None:
    """Train from scratch and write an open_clip folder."""
    torch.manual_seed(0)
    scratch = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    hf_tokenizer = train_tokenizer()
    hf_tokenizer.save_pretrained(scratch)
    write_config(scratch, len(hf_tokenizer))
    model = open_clip.create_model(f"local-dir:{scratch}", pretrained=None, load_weights=False)
    model.train().to(memory_format=torch.channels_last)
    tokenize = open_clip.get_tokenizer(f"local-dir:{scratch}")
    for seed, (steps, peak_lr) in enumerate(cycles, start=2):
        pixels, captions = render_pool(pool, seed)
        train_cycle(model, pixels, tokenize(captions), steps, peak_lr)
    weights = {name: value.contiguous() for name, value in model.half().state_dict().items()}
    save_file(weights, scratch / "open_clip_model.safetensors")
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)


def train_cycle(model: CLIP, pixels: Tensor, tokens: Tensor, steps: int, peak_lr: float) -> None:
    """Train with one rise and fall of the learning rate.

    Args:
        model: the CLIP, changed in place.
        pixels: (N, 3, 64, 64) uint8.
        tokens: (N, L) int64.
        steps: optimizer steps.
        peak_lr: highest learning rate.
    """
    text_tower = TextTower(model)
    decay = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=peak_lr, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_lr, steps, pct_start=0.1)
    loss_fn, began = ClipLoss(), time.monotonic()
    for step in range(steps):
        rows = torch.randint(len(pixels), (BATCH,))
        images = pixels[rows].float().div_(127.5).sub_(1.0)
        images = images.flip(3) if step % 2 else images
        images = images.contiguous(memory_format=torch.channels_last)
        image_embeds = model.encode_image(images, normalize=True)
        text_embeds = normalize(text_tower(tokens[rows]), dim=-1)
        loss = loss_fn(image_embeds, text_embeds, model.logit_scale.exp())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        if step % 100 == 0 or step == steps - 1:
            log.info("step %d loss %.3f, %.0f s", step, loss.item(), time.monotonic() - began)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(Path(sys.argv[1]))
