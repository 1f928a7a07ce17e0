"""Bad input of the stage: one clear error that names the file and what to do."""

import pandas as pd
import pytest
import torch

from clipdiff.errors import ConfigError, DataError, ModelError
from clipdiff.files import write_tensors
from clipdiff.settings import SplitSettings


def test_a_split_without_images(bench):
    with pytest.raises(DataError, match=r"no image has split 'test_scene' \(did you mean 'test_"):
        bench.run(bench.settings(splits=["test_scene"]))


def test_images_without_an_embedding(bench):
    bench.write_embeds(bench.image_embeds[:-3])
    first = bench.table["image_id"].iloc[-3]
    with pytest.raises(DataError, match=rf"no embedding of 3 evaluated .* image_id {first}"):
        bench.run()


def test_embeddings_of_another_width(bench):
    bench.write_embeds(bench.image_embeds[:, :8].clone())
    with pytest.raises(ModelError, match=r"embeddings of width 8, but clip.model makes 16"):
        bench.run()


def test_truncated_embeddings(bench):
    bench.embeds.write_bytes(bench.embeds.read_bytes()[:-100])
    with pytest.raises(DataError, match="not a whole safetensors file"):
        bench.run()


def test_embeddings_of_something_else(bench):
    write_tensors(bench.embeds, {"weights": torch.ones(2)})
    with pytest.raises(DataError, match=r"holds \['weights'\], expected image_embeds"):
        bench.run()


def test_truncated_captions(bench, tmp_path):
    path = tmp_path / "captions.parquet"
    path.write_bytes(bench.captions.read_bytes()[:-200])
    with pytest.raises(DataError, match="not a whole Parquet file"):
        bench.run(captions=path)


def test_attributes_that_are_no_json(bench):
    texts = bench.table["attributes"].tolist()
    texts[4] = "size=large"
    with pytest.raises(DataError, match="row 4: attributes are not JSON"):
        bench.run(captions=bench.changed_captions(attributes=texts))


def test_no_labels(bench):
    path = bench.changed_captions(label=pd.Series([None] * len(bench.table), dtype=object))
    with pytest.raises(DataError, match="0 labelled images"):
        bench.run(captions=path)


def test_a_model_folder_that_is_none(bench, tmp_path):
    with pytest.raises(ModelError, match="no exported model"):
        bench.run(model=tmp_path)
    assert not (bench.root / "none.json").exists()


def test_a_model_of_another_shape(bench, make_clip, tmp_path):
    other = make_clip(tmp_path / "other", seed=0, embed_dim=8)
    with pytest.raises(ModelError, match=r"not a finetuned version of the configured clip\.model"):
        bench.run(model=other)


def test_a_validation_split_that_a_task_can_not_choose_on(bench):
    """Of other classes, or not evaluated."""
    names = bench.table["split"] + " " + bench.table["label"]
    tasks = ["comparative_prompting"]
    other = bench.changed_captions(label=names, dataset=bench.table["split"])
    with pytest.raises(ConfigError, match=r"evaluate\.validation: got 'validation' for"):
        bench.run(bench.settings(tasks=tasks), captions=other)
    settings = bench.settings(tasks=tasks, splits=["test_scenes"])
    with pytest.raises(ConfigError, match=r"one of evaluate\.splits with the same classes"):
        bench.run(settings)


def test_a_failed_run_leaves_the_finished_files(bench):
    bench.run(name="kept")
    before = (bench.root / "kept.json").read_bytes()
    with pytest.raises(DataError):
        bench.run(bench.settings(splits=["nowhere"]), name="kept")
    assert (bench.root / "kept.json").read_bytes() == before


def test_nothing_to_measure(bench):
    settings = bench.settings(tasks=["linear_probe"])  # the image tower is frozen
    with pytest.raises(ConfigError, match=r"\['linear_probe'\], which leave nothing to measure"):
        bench.run(settings, name="nothing")
    assert not (bench.root / "nothing.json").exists()


def test_settings_of_a_split_that_is_not_evaluated(bench, caplog):
    own = {"test_scene": SplitSettings(tasks=["zero_shot"])}
    bench.run(bench.settings(tasks=["zero_shot"], per_split=own))
    assert "evaluate.per_split.test_scene: no effect" in caplog.text
