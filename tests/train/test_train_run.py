"""The stage from files to files, in this process."""

import json
import os
import shutil
import signal

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from clipdiff_kernels import Stats

from clipdiff.errors import ConfigError, TrainingError
from clipdiff.files import read_json
from clipdiff.losses.contrastive import Contrastive
from clipdiff.settings import Train
from clipdiff.towers.encode import encode_texts
from clipdiff.towers.load import load_clip
from clipdiff.train.batches import epoch_batches
from clipdiff.train.identity import checkpoint_identity
from clipdiff.train.step import Stepper

NAMES = {"open_clip_model.safetensors", "open_clip_config.json", "train_log.jsonl"}
STEPS = 8  # 2 epochs of 40 pairs in batches of 12 at most


@pytest.fixture(scope="module")
def whole(bench):
    """An uninterrupted training."""
    return bench.train(bench.settings(), "whole")


def test_the_exported_folder_is_an_open_clip_model(bench, whole, weights):
    assert {path.name for path in whole.iterdir()} == NAMES | {"provenance.json"}
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{whole}")
    state = weights(whole)
    assert set(state) == set(model.state_dict())
    assert all(value.dtype == torch.float32 for value in state.values())
    assert state["logit_scale"].shape == ()
    clip = load_clip(bench.clip.model_copy(update={"model": f"local-dir:{whole}"}))
    texts = bench.differences["difference"].tolist()[:5]
    with torch.no_grad():
        expected = model.eval().encode_text(
            open_clip.get_tokenizer(f"local-dir:{whole}")(texts), True
        )
    torch.testing.assert_close(encode_texts(clip, texts), expected, atol=1e-6, rtol=1e-5)


def test_losses_fall_and_the_log_tells(bench, whole):
    rows = [json.loads(line) for line in (whole / "train_log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert [row["epoch"] for row in rows] == [0] * 4 + [1] * 4
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    assert rows[-1]["logit_scale"] == 10.0
    held = read_json(whole / "provenance.json")
    assert held["settings"]["train"]["batch"] == 12


def test_how_the_loss_is_computed_is_told(bench, whole, caplog):
    lengths = torch.tensor([len(each.split()) for each in bench.differences["difference"]])
    rows = epoch_batches(lengths, 12, seed=0, epoch=0)[0].numpy()
    images = bench.differences.iloc[rows, 1:3].to_numpy()
    told = read_json(whole / "provenance.json")["loss_kernels"]
    assert told["backend"] == "chunked"
    assert told["precision"] == "fp32"
    ratio = f"cpu, N / M = {len(rows)} / {len(np.unique(images))} = "
    assert told["reason"].startswith(ratio)
    with caplog.at_level("INFO"):
        bench.train(bench.settings(), "whole")  # goes on from its last checkpoint
    assert f"loss kernels: chunked, products in fp32 ({ratio}" in caplog.text


class Plain(torch.nn.Module):
    """A loss as a plugin may have it: it knows of no rows and no precision."""

    def forward(self, images, pairs, texts, group_ids=None):
        difference = images[pairs[:, 0]] - images[pairs[:, 1]]
        cosine = (texts * difference).sum(1).mean()
        return -cosine, Stats(cosine.detach(), difference.norm(dim=1).mean().detach())


def test_a_loss_without_kernels_trains_in_any_precision(bench, curve, monkeypatch, caplog):
    monkeypatch.setattr(Contrastive, "module", lambda _entry: Plain())
    settings = bench.settings(precision="bf16")
    with caplog.at_level("INFO"):
        output = bench.train(settings, "plain")
    losses = curve(output)
    assert sum(losses[4:]) < sum(losses[:4]), "of the second epoch and of the first"
    assert "loss kernels" not in caplog.text
    assert "loss_kernels" not in read_json(output / "provenance.json")


def test_only_what_is_trainable_changes(bench, whole, weights):
    before = weights(bench.root / "clip")
    moved = {"transformer": whole}
    for trainable in ("text", "image", "both"):
        settings = bench.settings(trainable=trainable, epochs=1)
        moved[trainable] = bench.train(settings, trainable)
    text = {name for name in before if not name.startswith("visual.") and name != "logit_scale"}
    visual = {name for name in before if name.startswith("visual.")}
    allowed = {
        "transformer": {name for name in text if name.startswith("transformer.")},
        "text": text, "image": visual, "both": text | visual,
    }  # fmt: skip
    for trainable, folder in moved.items():
        after = weights(folder)
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert changed <= allowed[trainable]
        assert len(changed) > 0.8 * len(allowed[trainable])


def test_a_signal_saves_and_the_next_run_goes_on_identically(
    bench, whole, weights, curve, monkeypatch
):
    settings, taken = bench.settings(), []
    step = Stepper.step

    def signalled(self, *arguments, **named):
        taken.append(None)
        if len(taken) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *arguments, **named)

    monkeypatch.setattr(Stepper, "step", signalled)
    with pytest.raises(SystemExit) as left:
        bench.train(settings, "resumed")
    assert left.value.code == 128 + signal.SIGTERM
    folder = bench.root / "resumed"
    assert not (folder / "model").exists()
    assert [path.name for path in folder.glob("checkpoints/step*")] == ["step00000005"]
    (folder / "checkpoints/.unfinished").mkdir()  # a process killed while it saved
    output = bench.train(settings, "resumed")
    assert len(taken) == STEPS
    assert curve(output) == curve(whole)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(output)[name]), name
    told, expected = (read_json(each / "provenance.json") for each in (output, whole))
    assert told["loss_kernels"] == expected["loss_kernels"]


def test_a_checkpoint_of_other_settings_or_data_is_discarded(bench, whole, curve):
    shutil.copytree(bench.root / "whole/checkpoints", bench.root / "other/checkpoints")
    output = bench.train(bench.settings(lr=2e-2), "other")
    assert curve(output)[0] == curve(whole)[0]
    assert curve(output)[1:] != curve(whole)[1:]
    shutil.copytree(bench.root / "whole/checkpoints", bench.root / "data/checkpoints")
    try:
        bench.write(bench.differences.iloc[::-1].reset_index(drop=True))
        assert curve(bench.train(bench.settings(), "data"))[0] != curve(whole)[0]
    finally:
        bench.write(bench.differences)


HOW = {
    "log_every": 4, "keep_checkpoints": 3, "checkpoint_every": 2, "threads": 2, "micro_batch": 4,
}  # fmt: skip


def test_how_it_is_computed_is_not_what_a_checkpoint_is_tied_to(bench):
    files = (bench.files.captions, bench.files.image_embeds, bench.files.differences("bert"))
    settings = bench.settings()
    before = checkpoint_identity(settings, *files)
    clip = {"clip": settings.clip.model_copy(update={"batch": 3})}
    changes = HOW | {"ranks": 2, "zero_stage": 1, "offload": True}
    assert set(changes) == Train.compute_fields(), "a field that this test has to know"
    for other in (
        settings.model_copy(update=clip),
        *(bench.settings(**{name: value}) for name, value in changes.items()),
    ):
        assert checkpoint_identity(other, *files) == before
    for other in (bench.settings(lr=2e-2), bench.settings({"kind": "squared"})):
        assert checkpoint_identity(other, *files) != before


def test_a_run_goes_on_with_other_logging_retention_and_micro_batches(bench, whole, curve):
    shutil.copytree(bench.root / "whole/checkpoints", bench.root / "how/checkpoints")
    (before,) = (bench.root / "how/checkpoints").glob("step*")
    assert before.name == "step00000006"
    with_six = (whole / "train_log.jsonl").read_text().splitlines()[:6]
    output = bench.train(bench.settings(**HOW | {"checkpoint_every": 1}), "how")
    lines = (output / "train_log.jsonl").read_text().splitlines()
    assert lines[:6] == with_six
    assert [json.loads(line)["step"] for line in lines[6:]] == [8]
    assert curve(output)[-1] == pytest.approx(curve(whole)[-1], abs=1e-4)
    kept = sorted(path.name for path in (bench.root / "how/checkpoints").glob("step*"))
    assert kept == ["step00000006", "step00000007"]


def test_a_checkpoint_of_another_zero_stage_stays_and_is_not_read(bench, whole, curve, caplog):
    shutil.copytree(bench.root / "whole/checkpoints", bench.root / "stage/checkpoints")
    folder = bench.root / "stage/checkpoints"
    with caplog.at_level("INFO"):
        output = bench.train(bench.settings(zero_stage=1, checkpoint_every=5), "stage")
    assert "step00000006: stays there, but is not gone on from" in caplog.text
    assert "saved with train.zero_stage 0 on 1 rank(s), and this training has" in caplog.text
    assert curve(output) == pytest.approx(curve(whole), abs=1e-4)
    assert sorted(path.name for path in folder.glob("step*")) == ["step00000005", "step00000006"]
    with caplog.at_level("INFO"):
        again = bench.train(bench.settings(), "stage")
    assert f"going on from {folder / 'step00000006'}" in caplog.text
    assert curve(again) == curve(whole)


@pytest.mark.parametrize("kind", ["contrastive", "squared", "hinge"])
def test_micro_batches_give_the_gradients_of_the_whole_batch(bench, kind, weights):
    # one SGD step: the weights move by the gradients
    common = {"optimizer": "sgd", "lr": 1.0, "clip_grad": 0, "epochs": 1, "batch": 40, "warmup": 0}
    loss, before = {"kind": kind}, weights(bench.root / "clip")
    once = weights(bench.train(bench.settings(loss, **common), f"{kind}-whole"))
    pieces = weights(bench.train(bench.settings(loss, micro_batch=7, **common), f"{kind}-pieces"))
    for name, start in before.items():
        moved, expected = pieces[name] - start, once[name] - start
        torch.testing.assert_close(moved, expected, atol=1e-6, rtol=1e-3, msg=name)
    assert any(not torch.equal(once[name], value) for name, value in before.items())


def test_a_learnable_temperature_moves_and_is_restored(bench, curve):
    loss = {"kind": "contrastive", "logit_scale": 10.0, "learn_logit_scale": True}
    output = bench.train(bench.settings(loss), "scale")
    lines = (output / "train_log.jsonl").read_text()
    scales = [json.loads(line)["logit_scale"] for line in lines.splitlines()]
    assert len(set(scales)) == STEPS
    again = bench.train(bench.settings(loss), "scale")  # from the checkpoint of step 6
    assert (again / "train_log.jsonl").read_text() == lines


def test_a_learnable_temperature_has_a_rate_of_its_own(bench):
    loss = {"kind": "contrastive", "logit_scale": 10.0, "learn_logit_scale": True}
    constant = {"schedule": "constant", "warmup": 0, "epochs": 1}
    output = bench.train(bench.settings(loss | {"logit_scale_lr": 0.5}, **constant), "rate")
    row = json.loads((output / "train_log.jsonl").read_text().splitlines()[0])
    assert row["lr"] == 1e-2
    assert abs(row["logit_scale"] - 10) == pytest.approx(0.5, rel=1e-3)  # Adam's first step


def test_captions_train_on_images_alone(bench, curve):
    seconds = pd.Series([None] * len(bench.differences), dtype="Int64")
    try:
        bench.write(bench.differences.assign(image_id_2=seconds))
        frozen = curve(bench.train(bench.settings(epochs=1), "captions"))
        both = curve(bench.train(bench.settings(epochs=1, trainable="both"), "captions-both"))
    finally:
        bench.write(bench.differences)
    assert both[0] == pytest.approx(frozen[0], abs=1e-5)


def test_a_loss_that_is_not_finite_is_an_error(bench):
    settings = bench.settings(lr=1e38, clip_grad=0, warmup=0, optimizer="sgd", log_every=5)
    with pytest.raises(TrainingError, match=r"loss of step [23] is nan; lower train.lr"):
        bench.train(settings, "nan")
    assert not (bench.root / "nan/model").exists()
    assert not list((bench.root / "nan/checkpoints").glob("step*"))


def test_what_this_machine_cannot_do_is_an_error(bench):
    with pytest.raises(ConfigError, match=r"train\.ranks: 2, but 1 processes were started"):
        bench.train(bench.settings(ranks=2), "ranks")
    if not torch.cuda.is_available():
        with pytest.raises(TrainingError, match="fp16 needs a GPU"):
            bench.train(bench.settings(precision="fp16"), "half")
