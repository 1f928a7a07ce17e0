"""Frames of a results folder: their types, what filters read, and what is said where files lack."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from clipdiff import Cell, Row, load_results
from clipdiff.api import frames
from clipdiff.api.results import Results
from clipdiff.errors import ConfigError, DataError
from clipdiff.grid import Layout


def types(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(kind) for name, kind in frame.dtypes.items()}


def write_table(layout: Layout, name: str, columns: frames.Columns) -> None:
    """Write a table of two rows as ``gather`` would; its LLM ``null`` must not become missing."""
    values = {"category": "null", "float64": [0.5, None], "int64": 3, "bool": True}
    table = pd.DataFrame({column: values[kind] for column, kind in columns.items()}, index=[0, 1])
    layout.tables.mkdir(exist_ok=True)
    table.to_csv(layout.tables / f"{name}.csv", index=False)


def test_cells_come_pretrained_first_and_controls_last(results: Results) -> None:
    assert [str(cell) for cell in results.cells] == [
        "pretrained/none/seednone", "null/hinge/seed0", "captions/hinge/seed0",
    ]  # fmt: skip
    assert results.cells[1] == Cell(Row("null"), "hinge", "0")


def test_metrics_before_gather_are_the_cells_own(results: Results) -> None:
    assert types(results.metrics) == dict(frames.METRICS)
    assert len(results.metrics) == 4 + 8 + 8
    assert list(results.metrics["llm"].cat.categories) == ["pretrained", "null", "captions"]
    assert results.metrics["ci_high"].isna().all()


@pytest.mark.parametrize(
    ("name", "columns"),
    [("metrics", frames.METRICS), ("tests", frames.TESTS), ("summary", frames.SUMMARY)],
)
def test_tables_are_typed(
    layout: Layout, results: Results, name: str, columns: frames.Columns
) -> None:
    write_table(layout, name, columns)
    frame = getattr(results, name)
    assert types(frame) == dict(columns)
    assert (frame[next(iter(columns))] == "null").all()
    assert len(frame) == 2


def test_items_are_typed_and_filters_read_only_what_they_name(results: Results) -> None:
    every = results.items()
    assert types(every) == dict(frames.ITEMS)
    assert len(every) == 4 * 4 * (1 + 2 + 2)
    some = results.items(split="test_scenes", task="zero_shot", weights=["pretrained", "finetuned"])
    assert types(some) == dict(frames.ITEMS)
    expected = every[(every["split"] == "test_scenes") & (every["task"] == "zero_shot")]
    expected = expected[expected["weights"] != "averaged-0.50"]
    assert some["value"].tolist() == expected["value"].tolist()
    assert some["image_id_2"].isna().all()
    tuned = results.items(weights="finetuned")  # the pretrained CLIP has none of them
    assert list(tuned["llm"].cat.categories) == ["null", "captions"]
    one = results.items(cells=["captions/hinge/seed0"], metric="accuracy", weights="finetuned")
    assert set(one["llm"]) == {"captions"}
    assert one["image_id_2"].tolist() == [10, 11, 12, 13] * 2


def test_items_of_a_metric_that_keeps_none_are_an_empty_frame(results: Results) -> None:
    # the mean over tasks is measured, its items are those of the tasks
    frame = results.items(task="difference/mean")
    assert frame.empty
    assert types(frame) == dict(frames.ITEMS)


def test_items_of_one_cell_or_none(results: Results) -> None:
    one = results.items(cells="null/hinge/seed0")
    assert len(one) == 4 * 4 * 2
    for cells in (Cell(Row("null"), "hinge", "0"), ["null/hinge/seed0"], results.cells[1:2]):
        assert results.items(cells=cells).equals(one)
    for nothing in (results.items(cells=[]), results.items(task=[]), results.items(split=())):
        assert nothing.empty
        assert types(nothing) == dict(frames.ITEMS)
    assert results.images([]).empty


def test_a_name_that_is_no_cell_is_named(results: Results) -> None:
    with pytest.raises(ConfigError, match=r"^cell 'null': expected ROW/LOSS/seedNUMBER"):
        results.items(cells="null")


def test_texts_are_typed_with_the_reason_of_those_that_were_dropped(results: Results) -> None:
    texts = results.texts(Row("null"))
    assert types(texts) == dict(frames.TEXTS)
    assert texts["kept"].tolist() == [True, False]
    assert texts.loc[1, "drop_reason"] == "too_short"
    assert texts.equals(results.texts("null"))


def test_images_are_bytes_or_paths_in_one_column(results: Results, tmp_path: Path) -> None:
    images = results.images("test_scenes")
    assert images["image_id"].tolist() == [1, 2, 3]
    assert images["image"].iloc[0].startswith(b"\x89PNG")
    assert images["image"].iloc[1] == str(tmp_path / "blue.png")
    assert images["attributes"].iloc[0] == {"colour": "green"}
    assert len(results.images()) == 4


def test_provenance_and_config_of_a_cell(results: Results, cell: Cell) -> None:
    facts = results.provenance(str(cell))
    assert list(facts) == ["training", "evaluation"]
    assert facts["training"].git_commit == "c0"
    config = results.config(cell)
    assert config["training"]["loss"]["margin"] == 0.2
    assert config["evaluation"]["evaluate"] == {"seed": 3}
    assert set(results.config("pretrained")) == {"evaluation"}


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda r: r.tests, "tests.csv: no such table yet; .*`clipdiff gather`"),
        (lambda r: r.summary, "summary.csv: no such table yet; .*`clipdiff gather`"),
        (lambda r: r.items(task="zero_shoot"), r"no task 'zero_shoot' \(did you mean 'zero_shot'"),
        (lambda r: r.items(split="train"), "no split 'train'; there are: test_scenes, test_style"),
        (lambda r: r.items(cells=["nul/hinge/seed0"]), "not evaluated .did you mean 'null/hinge/"),
        (lambda r: r.items(cells=3), "cells: got 3; expected cells, their names, or one"),
        (lambda r: r.items(task=3), "task: got 3; expected a name or several"),
        (lambda r: r.items(task=[3]), "no task '3'; there are"),
        (lambda r: r.texts("nul"), r"no texts of 'nul' \(did you mean 'null'.*`clipdiff filter`"),
        (lambda r: r.images("test_scene"), r"no split 'test_scene' \(did you mean 'test_scenes'"),
        (lambda r: r.provenance("bert/hinge/seed0"), "bert/hinge/seed0 is not evaluated"),
    ],
)
def test_what_is_missing_is_said_with_the_stage_that_makes_it(
    results: Results, ask: Callable[[Results], object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        ask(results)


def test_a_folder_without_results_is_refused(tmp_path: Path, layout: Layout) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        load_results(tmp_path / "nowhere")
    with pytest.raises(DataError, match="results: got None; expected the results folder"):
        load_results(None)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"did you mean .*/results"):
        load_results(tmp_path)
    (tmp_path / "new/data").mkdir(parents=True)
    new = load_results(tmp_path / "new")
    with pytest.raises(DataError, match=r"no cell is evaluated yet; .*`clipdiff evaluate`"):
        print(new.metrics)
    with pytest.raises(DataError, match=r"no images; .*`clipdiff prepare`"):
        new.images()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics/null/hinge/seed0.json", '{"rows": 3}', "not a metrics file"),
        ("metrics/null/hinge/seed0.json", "{", "not valid JSON"),
        ("tables/metrics.csv", "llm,loss\na,b\n", "metrics.csv: lacks the columns seed"),
    ],
)
def test_a_broken_file_is_named(
    layout: Layout, results: Results, name: str, content: str, message: str
) -> None:
    (layout.root / name).parent.mkdir(exist_ok=True)
    (layout.root / name).write_text(content)
    with pytest.raises(DataError, match=message):
        print(results.metrics)


def test_a_value_of_another_type_is_named(layout: Layout, results: Results) -> None:
    write_table(layout, "tests", frames.TESTS)
    path = layout.tables / "tests.csv"
    path.write_text(path.read_text().replace("0.5", "half", 1))
    with pytest.raises(DataError, match=r"tests\.csv: .*half"):
        print(results.tests)
