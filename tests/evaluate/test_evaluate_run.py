"""The stage from files to files, on a tiny CLIP of its own."""

import open_clip
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from clipdiff.errors import DataError
from clipdiff.evaluate import run
from clipdiff.evaluate.weights import weight_settings
from clipdiff.files import read_json, write_parquet
from clipdiff.settings import Clip, SplitSettings
from clipdiff.towers.encode import encode_texts
from clipdiff.towers.load import load_clip

WEIGHTS = "open_clip_model.safetensors"
SPLITS = ["validation", "test_scenes"]


def by_key(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.set_index(["task", "split", "weights", "metric"]).sort_index()


def test_rows_and_items_of_a_cell(bench):
    rows, items = bench.run()
    keyed = by_key(rows)
    assert keyed.index.is_unique
    assert set(rows["weights"]) == {"averaged-0.50", "finetuned"}
    assert set(rows["split"]) == set(SPLITS)
    tasks = {f"difference/{name}" for name in ("size", "count", "background", "object", "mean")}
    assert set(rows["task"]) == tasks | {"zero_shot", "clip_score"}
    assert rows[["value", "stderr", "ci_low", "ci_high"]].notna().all(axis=None)
    assert (rows["ci_low"] <= rows["ci_high"]).all()
    assert set(items["metric"]) == {
        "accuracy",
        "score",
        "acc1",
        "acc5",
        "retrieval",
        "retrieval_ref",
        "edit",
        "own",
    }
    assert not items.duplicated(["task", "split", "weights", "metric", "item_id"]).any()
    single = items[items["task"] != "difference/mean"]
    for key, part in single.groupby(["task", "split", "weights", "metric"]):
        assert part["value"].mean() == pytest.approx(keyed.loc[key, "value"])
        assert len(part) == keyed.loc[key, "n"]
        paired = key[0].startswith("difference") or key[3] == "edit"
        assert part["image_id_2"].notna().all() == paired


def test_two_runs_are_equal_and_every_cell_has_the_same_items(bench):
    rows, items = bench.run()
    again, items_again = bench.run(name="again")
    pd.testing.assert_frame_equal(rows, again)
    pd.testing.assert_frame_equal(items, items_again)
    _, other = bench.run(model="clip", name="other")
    columns = ["task", "split", "weights", "metric", "item_id", "image_id_1", "image_id_2"]
    pd.testing.assert_frame_equal(items[columns], other[columns])
    assert not items["value"].equals(other["value"])


def test_pretrained_has_one_weight_setting_equal_to_alpha_0(bench):
    rows, _ = bench.run(model=None)
    assert set(rows["weights"]) == {"pretrained"}
    cell, _ = bench.run(bench.settings(wise_alphas=[0.0, 1.0]), name="alphas")
    assert set(cell["weights"]) == {"pretrained", "finetuned"}
    zero = by_key(cell[cell["weights"] == "pretrained"])
    pd.testing.assert_frame_equal(by_key(rows)["value"].to_frame(), zero["value"].to_frame())


def test_averaged_weights_are_the_mean_of_both(bench):
    pretrained, finetuned = load_file(bench.clip / WEIGHTS), load_file(bench.cell / WEIGHTS)
    ((name, state),) = weight_settings(pretrained, bench.cell, [0.25])
    assert name == "averaged-0.25"
    for key in ("token_embedding.weight", "transformer.resblocks.0.mlp.c_fc.weight"):
        assert torch.allclose(state[key], 0.75 * pretrained[key] + 0.25 * finetuned[key])


def test_zero_shot_is_open_clips(bench):
    _, items = bench.run(bench.settings(tasks=["zero_shot"]))
    names = sorted(bench.table["label"].unique())
    model = open_clip.create_model(f"local-dir:{bench.cell}").eval()
    classifier = open_clip.build_zero_shot_classifier(
        model,
        open_clip.get_tokenizer(f"local-dir:{bench.cell}"),
        names,
        [lambda name: f"This is a photo of a {name}"],
    )
    for split in SPLITS:
        chosen = (bench.table["split"] == split).to_numpy(copy=True)
        best = (bench.image_embeds[torch.from_numpy(chosen)] @ classifier).argmax(1)
        hits = [
            names[c] == label for c, label in zip(best, bench.table["label"][chosen], strict=True)
        ]
        part = items[
            (items["split"] == split)
            & (items["weights"] == "finetuned")
            & (items["metric"] == "acc1")
        ]
        assert part["value"].astype(bool).tolist() == hits
        assert part["item_id"].tolist() == bench.table["image_id"][chosen].tolist()


def test_a_trained_image_tower_embeds_its_own_images(bench):
    frozen, _ = bench.run(bench.settings(tasks=["clip_score"]))
    trained = bench.settings(tasks=["clip_score"]).model_copy(update={"image_tower_trained": True})
    _, items = bench.run(trained, name="trained")
    clip = load_clip(Clip(model=f"local-dir:{bench.cell}"))
    image_embeds, texts = bench.embed(bench.cell), list(bench.table["caption"])
    expected = 2.5 * (encode_texts(clip, texts) * image_embeds).sum(1).clamp(min=0)
    own = items[(items["metric"] == "own") & (items["weights"] == "finetuned")]
    assert own["value"].to_numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    assert not frozen.empty


def test_another_reference_clip_judges_with_its_own_images(bench):
    settings = bench.settings(tasks=["clip_score"])
    other = settings.model_copy(update={"reference_clip": Clip(model=f"local-dir:{bench.cell}")})
    _, items = bench.run(other, model=None)
    clip, judge = load_clip(settings.clip), load_clip(other.reference_clip)
    judged = bench.embed(bench.cell)
    for split in SPLITS:
        rows = torch.from_numpy((bench.table["split"] == split).to_numpy(copy=True))
        captions = bench.table["caption"][rows.numpy()].tolist()
        found = (encode_texts(clip, captions) @ bench.image_embeds[rows].T).argmax(1)
        cosine = (encode_texts(judge, captions) * judged[rows][found]).sum(1)
        part = items[(items["metric"] == "retrieval") & (items["split"] == split)]
        expected = (2.5 * cosine.clamp(min=0)).numpy()
        assert part["value"].to_numpy() == pytest.approx(expected, abs=1e-5)


def test_provenance_names_settings_and_versions(bench):
    bench.run(bench.settings(tasks=["zero_shot"]))
    held = read_json(bench.root / "out.json")["provenance"]
    assert held["settings"]["llm"] == "bert"
    assert held["versions"]["torch"]
    assert len(held["settings_hash"]) == 16


def test_every_task_at_once(bench):
    every = ["zero_shot", "comparative_prompting", "geometry", "linear_probe"]
    settings = bench.settings({"geometry": {"class_pairs": 20}}, tasks=every)
    frozen, _ = bench.run(settings)
    assert set(frozen["task"]) == {"zero_shot", "comparative_prompting", "geometry"}
    trained = settings.model_copy(update={"image_tower_trained": True})
    rows, items = bench.run(trained)
    assert set(rows["task"]) == set(every)
    assert set(rows.loc[rows["task"] == "linear_probe", "split"]) == {"test_scenes"}
    assert rows[["value", "n", "stderr", "ci_low", "ci_high"]].notna().all(axis=None)
    assert not items.duplicated(["task", "split", "weights", "metric", "item_id"]).any()
    alone, _ = bench.run(settings.model_copy(update={"llm": "pretrained"}), model=None)
    assert set(alone["task"]) == set(every)


def test_confusions_are_those_of_the_clip_before_finetuning(bench):
    settings = bench.settings(tasks=["comparative_prompting"], wise_alphas=[0.0])
    one, _ = bench.run(settings, model="cell")
    other, _ = bench.run(settings, model="clip")
    pd.testing.assert_frame_equal(one, other)


def test_a_split_is_measured_by_what_it_names(bench):
    own = {"test_scenes": SplitSettings(tasks=["zero_shot"], prompt="cifar")}
    tasks = ["zero_shot", "clip_score"]
    rows, _ = bench.run(bench.settings(tasks=tasks, per_split=own))
    of_split = rows.groupby("split")["task"].agg(set).to_dict()
    assert of_split == {"validation": set(tasks), "test_scenes": {"zero_shot"}}
    plain, _ = bench.run(bench.settings(tasks=tasks))
    keys = ["split", "metric", "weights"]
    both = rows.merge(plain, on=["task", *keys]).query("task == 'zero_shot'")
    differs = both["value_x"] != both["value_y"]
    assert not differs[both["split"] == "validation"].any()
    assert differs[both["split"] == "test_scenes"].any()


def test_one_name_of_both_clips_is_one_clip_whatever_its_batch(bench, monkeypatch):
    settings = bench.settings(tasks=["clip_score"])
    smaller = settings.clip.model_copy(update={"batch": 3})
    loads = []
    monkeypatch.setattr(run, "load_clip", lambda clip: loads.append(clip) or load_clip(clip))
    bench.run(settings.model_copy(update={"reference_clip": smaller}))
    assert loads == [settings.clip]


def test_class_differences_are_those_of_the_cells_llm(bench, tmp_path):
    names = sorted(bench.table["label"].unique())
    for llm, count in (("bert", 8), ("t5", 6)):
        pairs = [(a, b) for a in names[:count] for b in names[:count] if a != b]
        table = pd.DataFrame(pairs, columns=["class_1", "class_2"])
        table["difference"] = "the first is " + table["class_1"]
        write_parquet(tmp_path / f"{llm}.parquet", table)
    pattern = str(tmp_path / "{llm}.parquet")
    settings = bench.settings(tasks=["geometry"], class_differences=pattern)
    rows, _ = bench.run(settings)
    other, _ = bench.run(settings.model_copy(update={"text_llm": "t5"}))
    assert rows["n"].max() <= 28
    assert other["n"].max() <= 15
    with pytest.raises(DataError, match=r"gpt3\.parquet: no such file"):
        bench.run(settings.model_copy(update={"text_llm": "gpt3"}))
