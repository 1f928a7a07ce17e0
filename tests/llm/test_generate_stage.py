"""The generate stage: the columns, and shards that are reused only where they still hold."""

import json
import shutil

import pandas as pd
import pytest

from clipdiff.errors import ConfigError, DataError, GenerationError
from clipdiff.llm.generate import Part, generate, generate_part, identity, prompt_of
from clipdiff.prompts import FOLDER
from clipdiff.writers.api import Api
from clipdiff.writers.file import File

COLUMNS = ["pair_id", "text", "llm", "model", "prompt_version", "seed", "finish_reason"]
COLUMNS += ["prompt_tokens", "completion_tokens"]


@pytest.fixture
def run(data):
    """Return a function that runs the stage and returns its table."""

    def written(stage) -> pd.DataFrame:
        output = data / "generations/x.parquet"
        generate(stage, data / "data/captions.parquet", data / "data/pairs.parquet", output)
        return pd.read_parquet(output)

    return written


def shards(data) -> dict[str, int]:
    """Return the shards that are there and when each was written."""
    folder = data / "generations/.answers/x"
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}


def test_columns_and_resumption_at_a_missing_shard(data, run, entry, settings) -> None:
    stage = settings(entry("t5"))
    table = run(stage)
    assert list(table.columns) == COLUMNS
    assert table["pair_id"].tolist() == list(range(7))
    assert set(table["finish_reason"]) <= {"stop", "length"}
    assert set(table["prompt_version"]) == {"task_prefix-1"}
    before = shards(data)
    assert len(before) == 3
    gone = sorted(before)[1]
    (data / "generations/.answers/x" / gone).unlink()
    (data / "generations/x.parquet").unlink()
    pd.testing.assert_frame_equal(run(stage), table)
    after = shards(data)
    assert {name for name in after if after[name] != before[name]} == {gone}


def test_a_truncated_shard_is_asked_again(data, run, entry, settings) -> None:
    stage = settings(entry("t5"))
    table = run(stage)
    broken = next((data / "generations/.answers/x").iterdir())
    broken.write_bytes(broken.read_bytes()[:100])
    pd.testing.assert_frame_equal(run(stage), table)


def test_changed_settings_reuse_nothing(data, entry, settings) -> None:
    base = settings(entry("t5"))
    changed = [
        settings(entry("t5"), temperature=1.0),
        settings(entry("t5", max_new_tokens=5)),
        settings(entry("t5", prompt="flan_t5")),
        settings(entry("llama", prompt="task_prefix")),
    ]
    identities = {identity_of(stage) for stage in [base, *changed]}
    assert len(identities) == 1 + len(changed)
    of_a_folder = settings(entry("t5", revision="other"))  # which has but one
    assert identity_of(of_a_folder) == identity_of(base)
    same = [
        settings(entry("t5", batch=5)),
        settings(entry("t5", filter={"min_words": 9})),
        settings(entry("t5"), shard_rows=9, swapped=2, seed=1, max_tokens_total=9, jobs=2),
    ]
    assert {identity_of(stage) for stage in same} == {identity_of(base)}


def test_how_a_server_is_asked_reuses_everything(settings, server) -> None:
    computing = {"key_env": "OTHER", "requests_per_minute": 9, "timeout": 3, "batch": 1}
    priced = settings(api(server, **computing, price={"input": 1, "output": 2}))
    assert identity_of(priced) == identity_of(settings(api(server)))
    for change in ({"endpoint": "chat"}, {"base_url": "http://127.0.0.1:9"}):
        assert identity_of(settings(api(server, **change))) != identity_of(priced)


def test_a_prompt_counts_by_what_it_says(entry, settings, tmp_path) -> None:
    same, other = tmp_path / "same.yaml", tmp_path / "other.yaml"
    text = (FOLDER / "task_prefix.yaml").read_text()
    same.write_text(text)
    other.write_text(text.replace("difference:", "difference: ", 1).replace("second", "2nd"))
    base, copied, changed = (
        identity_of(settings(entry("t5", prompt=str(name))))
        for name in ("task_prefix", same, other)
    )
    assert base == copied != changed


def identity_of(stage) -> str:
    return identity(stage, prompt_of(stage))


def test_touched_weights_ask_nothing_again_and_a_changed_byte_does(
    run, entry, settings, models, tmp_path, caplog
) -> None:
    caplog.set_level("INFO")
    folder = tmp_path / "t5"
    shutil.copytree(models / "t5", folder)
    stage = settings(entry("t5", model=str(folder)))
    table = run(stage)
    weights = folder / "model.safetensors"
    weights.touch()
    caplog.clear()
    pd.testing.assert_frame_equal(run(stage), table)
    assert "7 of 7 rows were there already" in caplog.text
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    caplog.clear()
    run(stage)
    assert "were there already" not in caplog.text


def test_changed_captions_are_asked_about(data, run, settings, server) -> None:
    served = settings(api(server))
    run(served)
    pairs = pd.read_parquet(data / "data/pairs.parquet")
    pairs.loc[4, "caption_1"] = "a zebra"
    pairs.to_parquet(data / "data/pairs.parquet")
    asked = len(server.bodies)
    assert run(served)["text"][4] == "About First: a zebra"
    assert len(server.bodies) == asked + 1


def test_a_new_seed_asks_again(data, run, settings, server) -> None:
    run(settings(api(server), temperature=1.0))
    run(settings(api(server), temperature=1.0, seed=1))
    assert len({body["seed"] for body in server.bodies}) == 14


def test_answers_outlive_a_failure(data, run, settings, server) -> None:
    """The key expires at the fifth question: four are not paid again."""
    denied = (401, {}, '{"error": {"message": "expired"}}')
    stage = settings(api(server, batch=1))
    run(stage)
    for name in shards(data):
        (data / "generations/.answers/x" / name).unlink()
    (data / "generations/x.parquet").unlink()
    server.bodies.clear()
    server.script = [*[None] * 4, denied]
    with pytest.raises(GenerationError, match="expired"):
        run(stage)
    assert not (data / "generations/x.parquet").exists()
    assert len(shards(data)) == 1
    before = len(server.bodies)
    assert len(run(stage)) == 7
    assert len(server.bodies) - before == 3


def test_a_setting_changed_back_asks_nothing(data, run, settings, server) -> None:
    run(settings(api(server)))
    changed = run(settings(api(server, max_new_tokens=5)))
    asked = len(server.bodies)
    run(settings(api(server, batch=2), shard_rows=5))
    assert len(server.bodies) == asked == 2 * len(changed)


def test_half_a_line_of_a_killed_job_is_no_answer(data, run, settings, server) -> None:
    stage = settings(api(server))
    run(stage)
    folder = data / "generations/.answers/x"
    rows = pd.concat([pd.read_parquet(path) for path in folder.glob("*.parquet")])
    for path in folder.iterdir():
        path.unlink()
    lines = rows.head(3).to_json(orient="records", lines=True)
    (folder / "journal-1of1.jsonl").write_text(lines[: -len(lines) // 6])
    asked = len(server.bodies)
    assert run(stage)["text"].str.startswith("About First: ").all()
    assert len(server.bodies) - asked == 5
    assert not list(folder.glob("*.jsonl"))


def test_some_pairs_are_asked_about_in_the_other_order(data, run, settings, server) -> None:
    table = run(settings(api(server), swapped=2))
    assert table["pair_id"].tolist() == list(range(7))
    swaps = pd.read_parquet(data / "generations/swaps/x.parquet")
    assert swaps["pair_id"].tolist() == [0, 1]
    asked = pd.read_parquet(data / "data/pairs.parquet")["caption_2"]
    assert swaps["text"].tolist() == [f"About First: {text}" for text in asked[:2]]
    assert len(server.bodies) == 9
    assert len(run(settings(api(server)))) == 7
    assert len(server.bodies) == 9
    assert pd.read_parquet(data / "generations/swaps/x.parquet").empty


def test_jobs_share_the_questions_and_the_stage_takes_their_answers(data, settings, server) -> None:
    stage = settings(api(server), jobs=2)
    inputs = data / "data/captions.parquet", data / "data/pairs.parquet"
    output = data / "generations/x.parquet"
    for number, rows in ((1, 4), (2, 3)):  # shards of three: the first and third, the second
        generate_part(stage, *inputs, output, Part(number, 2))
        facts = json.loads((output.with_suffix(".parts") / f"{number}of2.json").read_text())
        assert (facts["rows"], facts["tokens"]) == (rows, rows * 12)
    assert len(server.bodies) == 7
    generate(stage, *inputs, output)
    assert len(server.bodies) == 7
    assert pd.read_parquet(output)["pair_id"].tolist() == list(range(7))


@pytest.mark.parametrize("text", ["3", "0of2", "3of2", "aofb"])
def test_a_share_that_is_none(text) -> None:
    with pytest.raises(ConfigError, match=f"--part: got '{text}'"):
        Part.parse(text)


@pytest.mark.parametrize(
    ("limit", "paid"),
    [({"max_tokens_total": 36}, 3), ({"max_tokens_total": 37}, 4), ({"max_cost": 60e-6}, 4)],
)
def test_a_spent_budget_stops_and_keeps_all(data, run, settings, server, limit, paid) -> None:
    """An answer is 7 tokens in and 5 out: 12 tokens, or 7 + 2 x 5 = 17 millionths."""
    definition = api(server, batch=1, price={"input": 1, "output": 2})
    for _ in range(2):  # a rerun has no budget of its own
        with pytest.raises(GenerationError, match=f"{7 - paid} answers still missing"):
            run(settings(definition, **limit))
        assert len(server.bodies) == paid
    assert len(run(settings(definition))) == len(server.bodies) == 7


def test_rewrites_ask_about_train_captions(data, run, entry, settings) -> None:
    table = pd.read_parquet(data / "data/captions.parquet")
    table.loc[3, "split"] = "test"
    table.to_parquet(data / "data/captions.parquet")
    written = run(settings(entry("gpt2"), task="rewrite"))
    assert written["pair_id"].tolist() == [i for i in range(14) if i != 3]


def test_masked_models_have_no_rewrites(run, entry, settings) -> None:
    with pytest.raises(ConfigError, match="no template for the task 'rewrite'"):
        run(settings(entry("bert"), task="rewrite"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_users_differences(data, run, settings, suffix) -> None:
    mine = pd.DataFrame(
        {
            "image_id_1": [4, 0, 3],
            "image_id_2": [5, 1, 2],  # 3, 2 is a pair of the run in the other order
            "difference": ["The first is red.", "It has more foxes.", "The wrong way round."],
        }
    )
    path = data / f"mine.{suffix}"
    mine.to_csv(path, index=False) if suffix == "csv" else mine.to_parquet(path)
    written = run(settings(file_entry(path)))
    assert list(written.columns) == COLUMNS
    assert dict(zip(written["pair_id"], written["text"], strict=True)) == {
        0: "It has more foxes.",
        2: "The first is red.",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pair_id,text\n0,a\n", "expected difference"),
        ("pair_id,difference\n0,a\n0,b\n", "row 1: .* stands there twice"),
        ("pair_id,difference\n99,a\n", "none of its 1 rows"),
    ],
)
def test_users_differences_that_are_wrong(data, run, settings, text, message) -> None:
    path = data / "mine.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        run(settings(file_entry(path)))


def test_a_file_cannot_reword(data, run, settings) -> None:
    with pytest.raises(ConfigError, match="can't reword"):
        run(settings(file_entry(data / "mine.csv"), task="rewrite"))


def api(server, **changes) -> Api:
    """An entry that asks the test's server."""
    values = {"model": "m", "prompt": "completion", "base_url": server.url, "batch": 4}
    return Api(**(values | changes))


def file_entry(path) -> File:
    """An entry of the user's own differences."""
    return File(model=str(path))
