"""A batch has its own images only, so that the kernels choose by its N / M."""

import numpy as np
import pytest
import torch

from clipdiff.train.inputs import BatchSource
from clipdiff.train.ranks import Ranks
from clipdiff.train.training_data import TrainingData

IMAGES, PAIRS, ROWS = 20, 30, torch.tensor([3, 17, 4, 28, 11])


def make_data(captions: bool) -> TrainingData:
    """Random pairs; with ``captions`` every other one is an image and the zero row."""
    random = torch.Generator().manual_seed(0)
    pairs = torch.rand(PAIRS, IMAGES, generator=random).argsort(1)[:, :2].contiguous()
    embeds = torch.randn(IMAGES, 4, generator=random)
    if captions:
        pairs[::2, 1] = IMAGES
        embeds = torch.cat([embeds, torch.zeros(1, 4)])
    lengths = torch.randint(2, 6, (PAIRS,), generator=random)
    return TrainingData(
        image_embeds=embeds,
        image_ids=np.arange(IMAGES),
        pair_index=pairs,
        tokens=torch.randint(1, 9, (PAIRS, 5), generator=random),
        lengths=lengths,
        text_ids=torch.arange(PAIRS),
    )


def make_source(data: TrainingData, ranks: Ranks, trains_images: bool) -> BatchSource:
    """The pixels of an image are its number."""
    load = (lambda rows: rows.float().reshape(-1, 1, 1, 1)) if trains_images else None
    return BatchSource(
        data, ranks, torch.device("cpu"), None, True, trains_text=True, load_images=load
    )


@pytest.mark.parametrize("captions", [False, True])
def test_frozen_images_are_those_of_the_batch(captions):
    data = make_data(captions)
    batch = make_source(data, Ranks(1, 3), False).batch(ROWS)
    used = data.pair_index[ROWS].unique()
    assert torch.equal(batch.image_embeds, data.image_embeds[used])
    expected = data.image_embeds[data.pair_index[ROWS]]
    assert torch.equal(batch.image_embeds[batch.pair_index], expected)
    assert (batch.num_images, batch.num_zero_rows) == (0, 0)


@pytest.mark.parametrize("captions", [False, True])
def test_trained_images_are_followed_by_a_zero_row_where_there_are_captions(captions):
    data, numbers = make_data(captions), []
    for rank in range(3):
        batch = make_source(data, Ranks(rank, 3), True).batch(ROWS)
        assert batch.image_embeds is None
        (piece,) = batch.pieces
        numbers += piece.pixels[: piece.num_images].flatten().tolist()
    assert batch.num_images == len(numbers)
    assert batch.num_zero_rows == int(captions)
    images = torch.tensor([*numbers, *[IMAGES] * batch.num_zero_rows]).long()
    assert torch.equal(images[batch.pair_index], data.pair_index[ROWS])
