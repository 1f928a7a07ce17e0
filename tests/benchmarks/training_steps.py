"""A training step as the public PC-CLIP code takes it, and ours, on the same pairs and weights.

The public step is restated here from what that code does (github.com/dsam99/pc_clip, finetune.py):
texts padded to the context length, float32, two ``list.index`` scans an item, caption tokens that
nothing reads, gradients to the whole text tower of which Adam steps the transformer, an eager loss,
and three waits for the device a step. Ours is the project's own code, unchanged.
"""

from __future__ import annotations

import numpy as np
import open_clip
import torch
from harness import Size, device, make_batch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from torch.utils.data import default_collate

from clipdiff.losses.contrastive import Contrastive
from clipdiff.settings import Train
from clipdiff.towers.load import LoadedClip
from clipdiff.train.batches import epoch_batches
from clipdiff.train.engine import make_engine, start_ranks
from clipdiff.train.inputs import BatchSource
from clipdiff.train.step import Stepper
from clipdiff.train.towers import TrainedTowers
from clipdiff.train.training_data import TrainingData

GPU = torch.cuda.is_available()
CLIP, WIDTH = ("ViT-L-14", 768) if GPU else ("ViT-B-32", 512)
BATCH, BATCHES, IMAGES = (512 if GPU else 32), 8, 1000
SIZE = Size(BATCH * BATCHES, IMAGES, WIDTH)
CONTEXT, START, END = 77, 49406, 49407  # CLIP's context length, and its tokens around a text
LR = 1e-5


def make_clip() -> LoadedClip:
    """A CLIP of random weights, the same each time, with the vision tower that no step uses."""
    torch.manual_seed(0)
    model, _, preprocess = open_clip.create_model_and_transforms(CLIP, device=device())
    return LoadedClip(CLIP, model, preprocess, open_clip.get_tokenizer(CLIP), CONTEXT)


def make_data() -> TrainingData:
    """Random texts of 34 tokens on average (normal, deviation 10) over pairs of random images."""
    images, pairs, _ = make_batch(SIZE, torch.float32)
    rng = np.random.default_rng(0)
    lengths = torch.from_numpy(rng.normal(34, 10, SIZE.pairs).round().clip(5, CONTEXT)).long()
    tokens = torch.from_numpy(rng.integers(1, START, (SIZE.pairs, CONTEXT)))
    place = torch.arange(CONTEXT)
    last = lengths.unsqueeze(1) - 1
    tokens = torch.where(place < last, tokens, torch.where(place == last, END, 0))
    tokens[:, 0] = START
    return TrainingData(
        image_embeds=images.cpu(),
        image_ids=rng.choice(581_929, IMAGES, replace=False),  # as COCO numbers its images
        pair_index=pairs.cpu(),
        tokens=tokens[:, : int(lengths.max())],
        lengths=lengths,
        text_ids=torch.arange(SIZE.pairs),
    )


def make_batches(data: TrainingData) -> list[Tensor]:
    """One epoch, bucketed by length; to the public step, which pads, the order is all one."""
    return epoch_batches(data.lengths, BATCH, seed=0, epoch=0)


def model_flops(data: TrainingData) -> float:
    """Multiply-adds of the text transformer on the real tokens, forward and backward, a step."""
    config = open_clip.get_model_config(CLIP)["text_cfg"]
    width, length = config["width"], data.lengths.double()
    forward = 24 * width**2 * length + 4 * width * length**2  # a block: products, attention
    return 3 * config["layers"] * float(forward.sum()) / BATCHES


class PublicStep:
    """The public code's step. ``transformer`` is what trains."""

    def __init__(self, data: TrainingData):
        self.model = make_clip().model
        self.transformer = self.model.transformer
        self.optimizer = torch.optim.Adam(self.transformer.parameters(), lr=LR)
        self.image_ids = data.image_ids.tolist()
        self.pairs = data.image_ids[data.pair_index.numpy()].tolist()
        self.features = list(data.image_embeds)
        self.texts = list(pad(data.tokens, (0, CONTEXT - data.tokens.shape[1])))
        self.captions = self.texts[:IMAGES] * (1 + IMAGES // len(self.texts))

    def step(self, rows: Tensor) -> Tensor:
        self.model.zero_grad()
        items = [self._item(place) for place in rows.tolist()]
        _, first, _, second, texts = (part.to(device()) for part in default_collate(items))
        first, second = (each / each.norm(dim=1, keepdim=True) for each in (first, second))
        text_features = self.model.encode_text(texts)
        text_embeds = text_features / text_features.norm(dim=1, keepdim=True)
        loss = _public_loss(text_embeds, first - second)
        if not torch.isnan(loss) and loss != 0:
            loss.backward()
            self.optimizer.step()
            loss.item()
        torch.cuda.empty_cache()
        return loss.detach()

    def _item(self, place: int) -> tuple[Tensor, ...]:
        first, second = (self.image_ids.index(image) for image in self.pairs[place])
        return (
            self.captions[first], self.features[first], self.captions[second],
            self.features[second], self.texts[place],
        )  # fmt: skip


def _public_loss(texts: Tensor, differences: Tensor) -> Tensor:
    """Contrastive both ways at temperature 1."""
    texts = texts / texts.norm(dim=1, keepdim=True)
    differences = differences / differences.norm(dim=1, keepdim=True)
    logits = texts @ differences.T
    labels = torch.arange(len(logits), device=logits.device)
    by_text = cross_entropy(logits, labels, reduction="none").mean()
    by_difference = cross_entropy(logits.T, labels, reduction="none").mean()
    return (by_text + by_difference) / 2


class OurStep:
    """The step of ``clipdiff train``, bf16 on a GPU; compiled as a benchmark only."""

    def __init__(self, data: TrainingData, compiled: bool = False):
        ranks, where = start_ranks()
        clip = make_clip()
        clip.model.eval().requires_grad_(False)
        train = Train(optimizer="adam", lr=LR, clip_grad=0, precision="bf16" if GPU else "fp32")
        engine = make_engine(TrainedTowers(clip, "transformer"), train)
        if compiled:
            engine.compile(compile_kwargs={"dynamic": True})
        source = BatchSource(data, ranks, where, None, False, trains_text=True, load_images=None)
        loss = Contrastive().module().to(where)
        self.transformer = clip.model.transformer
        self.stepper = Stepper(engine, loss, source, None, ranks, None)

    def step(self, rows: Tensor) -> Tensor:
        return self.stepper.step(rows, LR, with_accuracy=False).loss
