"""Gumbel noise by hash: the right distribution, and each row's own."""

import torch

from clipdiff.settings import Generate
from clipdiff.writers.local.sampling import gumbel, sampler


def test_noise_is_standard_gumbel() -> None:
    noise = gumbel(torch.arange(200), 3, 1_000).flatten()
    assert torch.isfinite(noise).all()
    assert abs(noise.mean() - 0.5772) < 0.02  # Euler's constant
    assert abs(noise.var() - torch.pi**2 / 6) < 0.03


def test_rows_steps_and_tokens_are_independent() -> None:
    noise = torch.stack([gumbel(torch.arange(50), step, 400) for step in range(20)])
    for axis in range(3):
        flat = noise.transpose(0, axis).flatten(1)
        correlation = torch.corrcoef(flat).fill_diagonal_(0)
        assert correlation.abs().max() < 5 * flat.shape[1] ** -0.5


def test_largest_noisy_logit_is_a_sample_of_the_softmax() -> None:
    probability = torch.tensor([0.5, 0.3, 0.15, 0.05])
    rows = 20_000
    draw = sampler(Generate(temperature=0.5), range(rows), prompt_length=1)
    ids = torch.zeros(rows, 1, dtype=torch.int64)
    tokens = draw(ids, probability.sqrt().log().expand(rows, 4)).argmax(1)  # p at temperature 0.5
    share = torch.bincount(tokens, minlength=4) / rows
    torch.testing.assert_close(share, probability, atol=0.015, rtol=0)


def test_top_p_cuts_the_tail() -> None:
    draw = sampler(Generate(temperature=1, top_p=0.7), range(500), prompt_length=1)
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(500, 4)
    tokens = draw(torch.zeros(500, 1, dtype=torch.int64), logits).argmax(1)
    assert set(tokens.tolist()) == {0, 1}
