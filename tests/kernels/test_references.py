"""The references against other people's code, against loops, and against finite differences."""

import itertools

import pytest
import torch
from clipdiff_kernels import contrastive_loss, hinge_loss, squared_loss
from torch.nn.functional import mse_loss, normalize


@pytest.fixture(scope="module")
def batch(make_batch):
    return make_batch(6, 5, 4, seed=3)


def differences(batch):
    first, second = batch.pair_index.T
    return batch.image_embeds[first] - batch.image_embeds[second]


def test_contrastive_is_cliploss_of_the_directions(batch):
    peer = pytest.importorskip("open_clip.loss").ClipLoss()
    directions = normalize(differences(batch), dim=1)
    want = peer(directions, batch.text_embeds, torch.tensor(14.3, dtype=torch.float64))
    got = contrastive_loss(
        batch.image_embeds, batch.pair_index, batch.text_embeds, 14.3, backend="reference"
    )
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("normalized", [False, True])
def test_squared_is_mse(batch, normalized):
    target = differences(batch)
    want = mse_loss(batch.text_embeds, normalize(target, dim=1) if normalized else target)
    got = squared_loss(
        batch.image_embeds, batch.pair_index, batch.text_embeds,
        normalize=normalized, backend="reference",
    )  # fmt: skip
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("negatives", ["all", "hardest", "reversed"])
@pytest.mark.parametrize("grouped", [False, True])
def test_hinge_is_the_written_sum(batch, negatives, grouped):
    cosines = (batch.text_embeds @ normalize(differences(batch), dim=1).T).tolist()
    groups = batch.group_ids.tolist() if grouped else list(range(6))
    margin, total = 0.3, 0.0
    for r in range(6):
        others = [k for k in range(6) if groups[k] != groups[r]]
        rows = [max(0, margin - cosines[r][r] + cosines[r][k]) for k in others]
        columns = [max(0, margin - cosines[r][r] + cosines[k][r]) for k in others]
        if negatives == "all":
            total += sum(rows + columns) / 12
        elif negatives == "hardest":
            total += (max(rows, default=0) + max(columns, default=0)) / 12
        else:
            total += max(0, margin - 2 * cosines[r][r]) / 6
    got = hinge_loss(
        batch.image_embeds, batch.pair_index, batch.text_embeds, margin=margin,
        negatives=negatives, group_ids=batch.group_ids if grouped else None, backend="reference",
    )  # fmt: skip
    assert got.item() == pytest.approx(total, rel=1e-12)


def test_groups_take_entries_out_of_both_softmaxes(batch):
    """Off-diagonal entries with equal ids add nothing to the denominators; the diagonal stays."""
    assert len(batch.group_ids.unique()) < 6
    logits = 7.0 * batch.text_embeds @ normalize(differences(batch), dim=1).T
    total = 0.0
    for r in range(6):
        kept = [k for k in range(6) if k == r or batch.group_ids[k] != batch.group_ids[r]]
        total += (logits[r, kept].logsumexp(0) + logits[kept, r].logsumexp(0)) / 12
        total -= logits[r, r] / 6
    got = contrastive_loss(
        batch.image_embeds, batch.pair_index, batch.text_embeds, 7.0,
        group_ids=batch.group_ids, backend="reference",
    )  # fmt: skip
    torch.testing.assert_close(got, total)


OPS = [
    (contrastive_loss, {"logit_scale": 10.0}),
    (squared_loss, {"normalize": True}),
    (hinge_loss, {}),
    (hinge_loss, {"negatives": "hardest"}),
    (hinge_loss, {"negatives": "reversed", "margin": 2.0}),
]


@pytest.mark.parametrize(("op", "settings"), OPS)
def test_gradients_are_those_of_finite_differences(batch, op, settings):
    images = batch.image_embeds.clone().requires_grad_()
    text = batch.text_embeds.clone().requires_grad_()

    def loss(images, text):
        return op(images, batch.pair_index, text, backend="reference", **settings)

    assert torch.autograd.gradcheck(loss, (images, text))


@pytest.mark.parametrize(
    ("op", "settings", "backend"),
    [
        (op, settings, backend)
        for (op, settings), backend in itertools.product(OPS, ["reference", "chunked", "gather"])
        if not (op is squared_loss and backend == "gather")
    ],
)
def test_equal_embeddings_have_no_direction(make_batch, op, settings, backend):
    """Two images with one embedding: dhat is 0, the images feel nothing, and nothing is NaN."""
    batch = make_batch(4, 6, 8, seed=1)
    images = batch.image_embeds.clone()
    images[5] = images[4]
    pairs = torch.tensor([[4, 5], [0, 1], [2, 3], [5, 4]])
    images.requires_grad_()
    text = batch.text_embeds.clone().requires_grad_()
    loss = op(images, pairs, text, backend=backend, **settings)
    loss.backward()
    assert loss.isfinite()
    assert text.grad.isfinite().all()
    assert torch.equal(images.grad[4:], torch.zeros(2, 8, dtype=torch.float64))
    assert images.grad[:4].norm() > 0
