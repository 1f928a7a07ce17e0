"""What the evaluation asks LLMs is what it then looks for in their answers."""

import numpy as np
import pandas as pd
import pytest

from clipdiff.config.stages import QuestionsSettings
from clipdiff.errors import ConfigError, DataError
from clipdiff.evaluate.inputs import read_inputs
from clipdiff.evaluate.questions import write_questions
from clipdiff.files import read_parquet, write_parquet
from clipdiff.settings import SplitSettings
from clipdiff.tasks.comparative_prompting import classes_to_tell_apart
from clipdiff.towers.encode import TextEncoder
from clipdiff.towers.load import load_clip

TASKS = ["comparative_prompting", "geometry", "difference_classification"]
ASKED = {"class_differences": "llm", "class_descriptions": "llm", "pair_differences": "llm"}


def ask(bench, captions=None, **changes):
    """Return the evaluation settings, and the questions that they lead to."""
    entries = {"geometry": {"class_pairs": 12}, "comparative_prompting": {"confusions": 2}}
    settings = bench.settings(entries, **({"tasks": TASKS, **ASKED} | changes))
    path = bench.root / "questions.parquet"
    asking = {name: task.asking() for name, task in settings.tasks.items() if task.text_tables}
    slices = QuestionsSettings(clip=settings.clip, evaluate=settings.evaluate, tasks=asking)
    write_questions(slices, captions or bench.captions, bench.embeds, path)
    return settings, read_parquet(path)


def answer(bench, table, llm, lost=()):
    """Answer every question with a text of its own; those of ``lost`` are not kept."""
    table = table.assign(kept=~table["question_id"].isin(lost), drop_reason=None)
    table["difference"] = [f"text {number} of {llm}" for number in table["question_id"]]
    folder = bench.layout.evaluation_texts / llm
    of_classes = table[(table["task"] == "difference") & table["class_1"].notna()]
    write_parquet(folder / "class_differences.parquet", of_classes)
    pairs = table[table["image_id_1"].notna()].astype({"image_id_1": int, "image_id_2": int})
    write_parquet(folder / "pair_differences.parquet", pairs)
    described = table[table["task"] == "describe"]
    described = described.rename(columns={"class_1": "class", "difference": "description"})
    write_parquet(folder / "class_descriptions.parquet", described)


def test_every_question_is_whole(bench):
    _, table = ask(bench)
    assert table["question_id"].tolist() == list(range(len(table)))
    assert not table.duplicated(["task", "caption_1", "class_1", "class_2", "image_id_1",
                                 "image_id_2"]).any()  # fmt: skip
    captions = bench.table.set_index("image_id")["caption"]
    pairs = table[table["image_id_1"].notna()]
    for side in ("1", "2"):
        assert (captions[pairs[f"image_id_{side}"]].to_numpy() == pairs[f"caption_{side}"]).all()
    classes = table[table["class_2"].notna()]
    for side in ("1", "2"):
        assert (classes[f"caption_{side}"] == "a photo of a " + classes[f"class_{side}"]).all()
    described = table[table["task"] == "describe"]
    assert sorted(described["caption_1"]) == sorted(bench.table["label"].unique())


def test_images_are_asked_about_in_both_orders_within_their_split(bench):
    settings, table = ask(bench)
    pairs = table[table["image_id_1"].notna()]
    both = set(zip(pairs["image_id_1"], pairs["image_id_2"], strict=True))
    assert both == {(second, first) for first, second in both}
    split = bench.table.set_index("image_id")["split"]
    assert (split[pairs["image_id_1"]].to_numpy() == split[pairs["image_id_2"]].to_numpy()).all()
    half = settings.evaluate.pairs_per_draw // 2
    assert len(pairs) <= 2 * len(settings.evaluate.splits) * settings.evaluate.draws * half


def test_the_evaluation_finds_an_answer_to_all_that_it_looks_for(bench):
    settings, table = ask(bench)
    for llm in ("bert", "t5"):
        answer(bench, table, llm)
    rows, _ = bench.run(settings)
    found = rows[rows["weights"] == "finetuned"].set_index(["split", "task", "metric"])["n"]
    for split in settings.evaluate.splits:
        assert found[split, "geometry", "direction"] == 12
        assert found[split, "difference/written", "accuracy"] == 2 * 20
        described = rows.query("metric == 'acc1_described' and split == @split")
        assert len(described) == len(rows["weights"].unique())


def test_every_pair_that_moves_prompts_was_asked_about(bench):
    settings, table = ask(bench)
    answer(bench, table, "bert")
    path = bench.layout.evaluation_text("bert", "class_differences")
    told = {"class_differences": str(path), "class_descriptions": None, "pair_differences": None}
    section = settings.evaluate.model_copy(update=told)
    clip = load_clip(settings.clip)
    inputs = read_inputs(bench.captions, bench.embeds, section.splits, clip)
    validations = inputs.validations(TextEncoder(clip))
    entry = settings.tasks["comparative_prompting"]
    confused = classes_to_tell_apart(validations["validation"], section, 2)
    assert len(confused)
    for split in inputs.splits:
        task = entry.on(split, section, validations["validation"])
        assert np.array_equal(task.pairs, confused)
        assert len(set(task.pair_texts)) == len(confused)


def test_lost_answers_leave_the_items_as_they_are(bench):
    settings, table = ask(bench)
    lost = table.loc[table["class_2"].notna(), "question_id"].iloc[::3]
    answer(bench, table, "t5")
    answer(bench, table, "bert", lost)
    rows, items = bench.run(settings)
    answer(bench, table, "bert")
    whole_rows, whole_items = bench.run(settings)
    shared = ["task", "split", "weights", "metric", "item_id", "image_id_1", "image_id_2"]
    wanted = "task in ('geometry', 'comparative_prompting') and metric != 'acc1_confused'"
    some, whole = (both.query(wanted).reset_index(drop=True) for both in (items, whole_items))
    pd.testing.assert_frame_equal(some[shared], whole[shared])
    directions = some[some["metric"] == "direction"]["value"]
    assert (directions == 0.5).sum() > (whole[whole["metric"] == "direction"]["value"] == 0.5).sum()
    assert len(rows) == len(whole_rows)


def test_no_text_at_all_moves_nothing(bench):
    settings, table = ask(bench)
    answer(bench, table, "t5")
    of_classes = table.loc[table["image_id_1"].isna(), "question_id"]
    answer(bench, table, "bert", of_classes)
    rows, _ = bench.run(settings)
    means = rows.set_index(["task", "metric"])["value"]
    assert (means["comparative_prompting", "gain"] == 0).all()
    assert (means["geometry", "direction"] == 0.5).all()
    assert (means["geometry", "analogy"] == 0).all()
    assert "acc1_described" not in rows["metric"].to_numpy()


def test_images_without_captions_cannot_be_written_about(bench):
    bare = bench.changed_captions(caption=None)
    with pytest.raises(DataError, match="0 images have a caption, and LLMs write from captions"):
        ask(bench, bare)


def test_only_what_a_task_reads_is_asked(bench):
    _, table = ask(bench, tasks=["difference_classification"])
    assert table["image_id_1"].notna().all()
    _, table = ask(bench, tasks=["geometry", "zero_shot"])
    assert table["class_2"].notna().all()


def test_asking_for_nothing_is_an_error(bench):
    with pytest.raises(ConfigError, match="no task of validation, test_scenes has a use for any"):
        ask(bench, tasks=["zero_shot"])


def test_a_split_of_its_own_pairs(bench):
    own = {"validation": SplitSettings(pair_differences="llm", templates="none")}
    tasks = ["difference_classification", "clip_score"]
    settings, table = ask(
        bench, tasks=tasks, pair_differences=None, per_split=own, class_descriptions=None
    )
    ids = bench.table.set_index("image_id")["split"]
    assert set(ids[table["image_id_1"]]) == {"validation"}
    answer(bench, table, "t5")
    rows, items = bench.run(settings)
    of_validation = rows[rows["split"] == "validation"]
    assert set(of_validation["task"]) == {"difference/written", "difference/mean", "clip_score"}
    edits = items[(items["metric"] == "edit") & (items["split"] == "validation")]
    asked = set(zip(table["image_id_2"], table["image_id_1"], strict=True))
    assert set(zip(edits["image_id_1"], edits["image_id_2"], strict=True)) <= asked
    assert len(edits) == 12 * len(rows["weights"].unique())
