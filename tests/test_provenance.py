"""What lies beside a result: what decided it is hashed, how it was computed is not."""

import pytest

from clipdiff.errors import DataError
from clipdiff.files import read_json, write_json
from clipdiff.provenance import LossKernels, Provenance, provenance, settings_hash
from clipdiff.settings import Clip


def test_results_are_hashed_and_computing_stands_apart():
    facts = provenance(Clip(model="demo:clip", batch=7))
    assert facts["settings"] == {"model": "demo:clip", "pretrained": None}
    assert facts["compute"] == {"batch": 7}
    assert facts["settings_hash"] == settings_hash(Clip(model="demo:clip", batch=9))
    assert facts["settings_hash"] != settings_hash(Clip(model="other"))


def test_a_file_is_read_as_it_was_written(tmp_path):
    kernels = LossKernels(backend="gather", precision="fp32", reason="cpu")
    written = Provenance.of(Clip(model="demo:clip"), kernels)
    write_json(tmp_path / "provenance.json", written.model_dump(mode="json"))
    read = Provenance.parse(read_json(tmp_path / "provenance.json"), "here")
    assert read == written
    assert read.hash_now == read.settings_hash
    edited = read.model_copy(update={"settings": {"model": "other"}})
    assert edited.hash_now != edited.settings_hash


def test_what_trains_nothing_has_no_loss_kernels():
    facts = provenance(Clip(model="demo:clip"))
    assert "loss_kernels" not in facts
    assert Provenance.parse(facts, "here").loss_kernels is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"date": None}, "date"),
        ({"settings": []}, "settings"),
        ({"versions": {"a": 1}}, "versions"),
    ],
)
def test_what_is_no_provenance_is_named(change, said):
    with pytest.raises(DataError, match=rf"model\.json: not a provenance \({said}"):
        Provenance.parse(provenance(Clip(model="demo:clip")) | change, "model.json")
    with pytest.raises(DataError, match="model"):
        Provenance.parse([], "model.json")
