"""The filter stage: columns, control rows, truth, and errors."""

import json

import pandas as pd
import pytest

from clipdiff.config.stages import FilterSettings
from clipdiff.errors import DataError, ModelError
from clipdiff.llm.filter import COLUMNS, filter_differences, shuffle
from clipdiff.settings import Clip, Filter

NAMES = ["fox", "dog", "key", "bell", "owl", "bus"]
CLIP = "demo:clip"


@pytest.fixture
def run(tmp_path):
    """Return a function that runs the stage on six images and five answers."""
    rows = [{"object": name, "count": 1 + place % 3} for place, name in enumerate(NAMES)]
    captions = pd.DataFrame(
        {
            "image_id": range(6),
            "caption": [f"a picture of some {name} in a\nquiet place" for name in NAMES],
            "split": ["train"] * 5 + ["test"],
            "attributes": [json.dumps(row) for row in rows],
        }
    )
    captions.to_parquet(tmp_path / "captions.parquet")
    ids = {"pair_id": range(4), "image_id_1": [0, 1, 2, 3], "image_id_2": [1, 2, 3, 4]}
    pd.DataFrame(ids).to_parquet(tmp_path / "pairs.parquet")

    def stage(llm, texts=(), source="answers.parquet", clip=CLIP, reasons=None) -> pd.DataFrame:
        answers = {"pair_id": range(len(texts)), "text": texts}
        answers["finish_reason"] = reasons or ["stop"] * len(texts)
        answers["prompt_tokens"], answers["completion_tokens"] = 30, 10
        if texts:
            pd.DataFrame(answers).to_parquet(tmp_path / "answers.parquet")
        settings = FilterSettings(
            llm=llm, answers=llm, filter=Filter(), clip=Clip(model=clip), seed=0
        )
        inputs = tmp_path / "captions.parquet", tmp_path / "pairs.parquet"
        path = tmp_path / f"{llm}.parquet"
        filter_differences(settings, *inputs, source and tmp_path / source, path)
        return pd.read_parquet(path)

    return stage


TEXTS = [
    "The first shows a fox, the second shows a dog.",
    "The first shows a key, the second shows a dog.",
    "I cannot tell the first from the second.",
    "It is quite different from the second.",
]


def test_columns_reasons_and_truth(run, caplog) -> None:
    caplog.set_level("INFO")
    table = run("x", TEXTS)
    assert list(table.columns) == COLUMNS
    assert table["kept"].tolist() == [True, True, False, True]
    assert table["drop_reason"].tolist()[2] == "meta"
    assert table["drop_reason"].isna().tolist() == [True, True, False, True]
    assert [None if pd.isna(v) else v for v in table["true"]] == [True, False, None, None]
    assert [None if pd.isna(v) else v for v in table["true_swapped"]] == [False, True, None, None]
    assert table["image_id_2"].tolist() == [1, 2, 3, 4]
    assert set(table["prompt_tokens"]) == {30}
    assert "kept 3 of 4" in caplog.text
    assert "dropped 1: meta" in caplog.text
    assert "50.0 % of 2 checked are true" in caplog.text


def test_captions_are_texts_of_single_images(run) -> None:
    table = run("captions", source=None)
    assert table["image_id_1"].tolist() == [0, 1, 2, 3, 4]
    assert table["image_id_2"].isna().all()
    assert table["pair_id"].tolist() == table["image_id_1"].tolist()
    assert table["difference"][0] == "a picture of some fox in a quiet place"
    assert table["kept"].all()
    assert table["true"].all()


def test_rewrites_are_joined_by_image(run) -> None:
    table = run("rewritten-x", [f"There is some {name} in it." for name in NAMES[:5]])
    assert table["image_id_2"].isna().all()
    assert table["kept"].all()
    assert table["true"].all()


def test_shuffled_moves_every_kept_text_to_another_pair(run) -> None:
    before = run("x", TEXTS)
    after = run("shuffled-x", source="x.parquet")
    kept = before[before["kept"]]
    assert after["pair_id"].tolist() == kept["pair_id"].tolist()
    assert sorted(after["difference"]) == sorted(kept["difference"])
    assert (after["difference"].to_numpy() != kept["difference"].to_numpy()).all()
    assert after["true"].tolist()[0] is not True
    again = run("shuffled-x", source="x.parquet")
    pd.testing.assert_frame_equal(after, again)


@pytest.mark.parametrize("rows", [2, 3, 50])
@pytest.mark.parametrize("seed", [0, 1])
def test_derangement(rows, seed, tmp_path) -> None:
    table = pd.DataFrame({"difference": [f"t{i}" for i in range(rows)], "kept": True})
    table["truncated"] = [i % 2 == 0 for i in range(rows)]
    moved = shuffle(table, seed, tmp_path)
    assert sorted(moved["difference"]) == sorted(table["difference"])
    assert (moved["difference"] != table["difference"]).all()
    for text, cut in zip(moved["difference"], moved["truncated"], strict=True):
        assert cut == (int(text[1:]) % 2 == 0), "truncated belongs to its text"
    if rows == 50:
        assert shuffle(table, seed + 5, tmp_path)["difference"].tolist() != list(moved.difference)


def test_errors_name_file_and_row(run, tmp_path) -> None:
    with pytest.raises(DataError, match=r"answers\.parquet, row 4: pair_id 4 is none"):
        run("x", [*TEXTS, "The first is more red than the second."])
    with pytest.raises(DataError, match="no text of 'x' is left"):
        run("x", ["No."] * 4)
    with pytest.raises(DataError, match="shuffling needs at least 2"):
        run("shuffled-x", source="x.parquet")
    with pytest.raises(ModelError, match="no tokenizer"):
        run("x", TEXTS, clip="local-dir:clipdiff/nowhere")
    (tmp_path / "answers.parquet").write_bytes(b"PAR1 half")
    with pytest.raises(DataError, match=r"answers\.parquet: not a whole Parquet file"):
        run("x")
