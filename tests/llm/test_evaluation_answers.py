"""What the evaluation asks, answered by tiny models of every kind and filtered."""

import pandas as pd
import pytest
import yaml

from clipdiff.config.stages import FilterSettings
from clipdiff.errors import ConfigError, DataError
from clipdiff.files import read_parquet, write_parquet
from clipdiff.llm.evaluation_answers import QUESTIONS, answer_questions, filter_answers
from clipdiff.prompts import FOLDER, load
from clipdiff.settings import Clip, Filter
from clipdiff.writers.file import File

ROWS = [
    ("difference", "owl", "fox", None, None, "a photo of a owl", "a photo of a fox"),
    ("difference", "fox", "owl", None, None, "a photo of a fox", "a photo of a owl"),
    ("difference", None, None, 3, 5, "two small foxes on red", "one big key on white"),
    ("difference", None, None, 5, 3, "one big key on white", "two small foxes on red"),
    ("describe", "owl", None, None, None, "owl", None),
    ("describe", "fox", None, None, None, "fox", None),
]


@pytest.fixture
def questions(tmp_path):
    return write(tmp_path / "questions.parquet", ROWS)


def write(path, rows):
    table = pd.DataFrame(rows, columns=QUESTIONS[1:])
    table.insert(0, "question_id", range(len(rows)))
    types = {name: "Int64" if name.startswith("image") else "string" for name in QUESTIONS[1:]}
    write_parquet(path, table.astype(types))
    return path


@pytest.fixture
def filtering():
    """Return a function that makes settings of the filter."""
    clip = Clip(model="demo:clip")

    def make(**changes):
        return FilterSettings(llm="x", answers="x", filter=Filter(**changes), clip=clip, seed=0)

    return make


@pytest.mark.parametrize("name", ["llama", "gpt2", "t5", "bert"])
def test_every_kind_answers_what_its_prompt_can_ask(name, entry, settings, questions, tmp_path):
    answer_questions(settings(entry(name)), questions, tmp_path / "answers.parquet")
    answers = read_parquet(tmp_path / "answers.parquet")
    assert answers["question_id"].tolist() == [0, 1, 2, 3]  # the demo's prompts describe nothing
    assert (answers["llm"] == "x").all()
    assert answers["prompt_version"].nunique() == 1


def test_descriptions_where_the_prompt_asks_for_them(entry, settings, questions, tmp_path):
    described = entry("llama", prompt="plain")
    answer_questions(settings(described), questions, tmp_path / "answers.parquet")
    assert len(read_parquet(tmp_path / "answers.parquet")) == len(ROWS)


@pytest.mark.parametrize("name", ["plain", "llama2_chat", "gpt3_completion", "flan_t5"])
def test_an_instruction_on_captions_is_no_part_of_a_description(name):
    turns = load(name).turns("describe", "owl")
    assert turns[-1]["content"].count("owl") == 1
    assert all(turn["role"] != "system" for turn in turns)


def test_answers_do_not_depend_on_other_questions(entry, settings, tmp_path):
    def answers(name, rows):
        path = write(tmp_path / f"{name}.parquet", rows)
        output = tmp_path / name / "x.parquet"
        answer_questions(settings(entry("llama"), temperature=1.0), path, output)
        texts = read_parquet(output).set_index("question_id")["text"]
        return {rows[number][5]: text for number, text in texts.items()}

    some, more = answers("some", ROWS[2:4]), answers("more", ROWS)
    assert some == {caption: more[caption] for caption in some}


def test_a_second_run_asks_nothing(entry, settings, questions, tmp_path):
    output = tmp_path / "answers/x.parquet"
    answer_questions(settings(entry("llama")), questions, output)
    before = output.read_bytes()
    definition = entry("llama")
    answer_questions(settings(definition), questions, output)
    assert output.read_bytes() == before


def test_a_file_of_differences_answers_nothing(settings, questions, tmp_path):
    mine = File(model="mine.csv")
    with pytest.raises(ConfigError, match=r"evaluate\.writer: 'x' is of kind 'file'"):
        answer_questions(settings(mine), questions, tmp_path / "answers.parquet")


def tables_of(folder, filtering, questions, texts, **changes):
    answers = folder / "answers.parquet"
    table = pd.DataFrame({"question_id": range(len(texts)), "text": texts, "finish_reason": "stop"})
    write_parquet(answers, table)
    filter_answers(filtering(**changes), questions, answers, folder / "texts")
    names = ("class_differences", "pair_differences", "class_descriptions")
    return [read_parquet(folder / f"texts/{name}.parquet") for name in names]


TEXTS = [
    "The first is a round bird, the second a red fox.",
    "I cannot see any pictures, sorry about that.",
    "There are more of them in the first than in the second.",
    "The first shows a key, while the second shows foxes.",
    "It has large round eyes and soft feathers.",
    "no",
]


def test_answers_are_filtered_and_sorted_into_three_tables(tmp_path, filtering, questions):
    classes, pairs, described = tables_of(tmp_path, filtering, questions, TEXTS)
    assert classes["kept"].tolist() == [True, False]
    assert classes["drop_reason"][1] == "meta"
    assert classes[["class_1", "class_2"]].to_numpy().tolist() == [["owl", "fox"], ["fox", "owl"]]
    assert pairs[["image_id_1", "image_id_2"]].to_numpy().tolist() == [[3, 5], [5, 3]]
    assert pairs["difference"].tolist() == TEXTS[2:4]
    assert described["description"][0] == f"This is a photo of a owl. {TEXTS[4]}"
    assert described["kept"].tolist() == [True, False]
    assert described["drop_reason"][1] == "short"


def test_without_the_filter_all_texts_are_kept(tmp_path, filtering, questions):
    tables = tables_of(tmp_path, filtering, questions, TEXTS, enabled=False)
    assert all(table["kept"].all() for table in tables)


def test_an_llm_that_describes_nothing_has_an_empty_table(tmp_path, filtering, questions):
    described = tables_of(tmp_path, filtering, questions, TEXTS[:4])[2]
    assert described.empty


def test_questions_about_images_alone(tmp_path, filtering):
    questions = write(tmp_path / "images.parquet", ROWS[2:4])
    classes, pairs, described = tables_of(tmp_path, filtering, questions, TEXTS[2:4])
    assert classes.empty
    assert described.empty
    assert len(pairs) == 2


def test_answers_of_other_questions_are_an_error(tmp_path, filtering, questions):
    with pytest.raises(DataError, match="answers none of this run's questions"):
        tables_of(tmp_path, filtering, questions, [*TEXTS, "a text too many"])


def test_shipped_prompts_can_describe():
    able = {p.stem for p in FOLDER.glob("*.yaml") if "describe" in yaml.safe_load(p.read_text())}
    assert able == {"plain", "llama2_chat", "gpt3_completion", "flan_t5"}
