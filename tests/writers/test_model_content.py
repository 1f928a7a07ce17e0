"""Weights by what they hold: sums beside them are believed only where they are newer."""

import hashlib
import os
import time

import pytest

from clipdiff.shipped import ASSETS
from clipdiff.writers.local.model_content import content_of, sha256

OLD, WRONG = b"old weights", "0" * 64


@pytest.fixture
def weights(tmp_path):
    """A file of weights in a model's folder, last changed a while ago."""
    path = tmp_path / "model/model.safetensors"
    path.parent.mkdir()
    path.write_bytes(OLD)
    return path


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def later(path) -> None:
    """Give a file a date after all changes up to now."""
    soon = time.time_ns() + 10**9
    os.utime(path, ns=(soon, soon))


def test_content_counts_and_dates_do_not(weights) -> None:
    assert content_of(weights.parent) == {"model.safetensors": digest(OLD)}
    later(weights)
    assert content_of(weights.parent) == {"model.safetensors": digest(OLD)}
    weights.write_bytes(b"new weights")
    assert content_of(weights.parent) == {"model.safetensors": digest(b"new weights")}


def test_notes_sums_and_hidden_files_are_no_weights(weights) -> None:
    for name in ("README.md", ".gitattributes", "SHA256SUMS", "model.safetensors.sha256"):
        (weights.parent / name).touch()
    (weights.parent / "folder").mkdir()
    (weights.parent / "tokenizer.json").write_text("{}")
    assert set(content_of(weights.parent)) == {"model.safetensors", "tokenizer.json"}


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("model/model.safetensors.sha256", "{sum}"),
        ("model/model.safetensors.sha256", "{sum}  model.safetensors"),
        ("model/SHA256SUMS", "{sum}  model.safetensors"),
        ("model/SHA256SUMS", "{sum} *./model.safetensors"),
        ("SHA256SUMS", "{sum}  model/model.safetensors"),
    ],
)
def test_a_newer_sum_is_believed_and_an_older_is_not(weights, tmp_path, place, line) -> None:
    sums = tmp_path / place
    sums.write_text(f"{'1' * 64}  other\n" * ("SUMS" in place) + line.format(sum=WRONG) + "\n")
    later(sums)
    assert sha256(weights) == WRONG
    os.utime(sums, ns=(1, 1))
    assert sha256(weights) == digest(OLD)


def test_weights_put_in_place_with_an_old_date_are_hashed(weights) -> None:
    sums = weights.parent / "SHA256SUMS"
    sums.write_text(f"{WRONG}  model.safetensors\n")
    time.sleep(0.02)
    other = weights.with_name("other")
    other.write_bytes(b"other weights")
    os.utime(other, ns=(1, 1))
    other.replace(weights)
    assert sha256(weights) == digest(b"other weights")


@pytest.mark.parametrize("text", ["", "no sum  model.safetensors\n", f"{WRONG}  another\n"])
def test_sums_that_say_nothing_of_the_file(weights, text) -> None:
    for name in ("SHA256SUMS", "model.safetensors.sha256"):
        sums = weights.parent / name
        sums.write_text(text.replace(WRONG, "0"))
        later(sums)
    assert sha256(weights) == digest(OLD)


def test_the_sums_of_the_shipped_models_are_true() -> None:
    for line in (ASSETS / "SHA256SUMS").read_text().splitlines():
        digits, name = line.split()
        if "/" in name:
            assert content_of((ASSETS / name).parent)[(ASSETS / name).name] == digits
