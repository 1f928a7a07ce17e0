"""``gather`` on a small whole results folder: every number against one computed by hand."""

import json
import math
import time

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from clipdiff.config.entries import all_cells
from clipdiff.errors import DataError
from clipdiff.files import read_parquet, write_json, write_parquet
from clipdiff.grid import PRETRAINED, Cell, Layout, Row
from clipdiff.settings import Price
from clipdiff.stats.paired import holm
from clipdiff.tables.figures.names import figure_names
from clipdiff.tables.gather import gather
from clipdiff.tables.reading.llm_texts import describe_texts, repetition
from clipdiff.tables.reading.metrics_files import read_metrics

CELL = {"llm": "llama2", "loss": "hinge"}
HERE = {"split": "test_scenes", "weights": "finetuned"}


@pytest.fixture(scope="module")
def tables(root) -> dict[str, pd.DataFrame]:
    """The CSV tables by name."""
    names = ("metrics", "summary", "tests", "llms")
    return {
        name: pd.read_csv(root / f"tables/{name}.csv", keep_default_na=False, na_values=[""])
        for name in names
    }


def rows(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Select rows by equal values."""
    for name, value in values.items():
        table = table[table[name] == value]
    return table


def items_of(built, cell: Cell, task: str, metric: str) -> pd.DataFrame:
    """Per-item values of one task on the test scenes."""
    table = read_parquet(built.layout.items(cell))
    weights = "pretrained" if cell.is_pretrained else "finetuned"
    return rows(table, task=task, metric=metric, split="test_scenes", weights=weights)


def test_long_table_holds_every_row_of_every_cell(built, tables):
    expected = 0
    for cell in all_cells(built.settings()):
        content = json.loads(built.layout.metrics(cell).read_text())
        expected += len(content["rows"])
        own = rows(tables["metrics"], llm=str(cell.row), loss=cell.loss)
        own = own[own["seed"].astype(str) == cell.seed]
        assert own["value"].tolist() == [row["value"] for row in content["rows"]]
    assert len(tables["metrics"]) == expected
    assert list(tables["metrics"]) == [
        "llm", "loss", "seed", "task", "split", "weights", "metric", "value", "n", "stderr",
        "ci_low", "ci_high", "higher_is_better",
    ]  # fmt: skip
    assert set(rows(tables["metrics"], llm="pretrained")["loss"]) == {"none"}


def test_summary_mean_sd_and_gain_by_hand(built, tables):
    (found,) = rows(tables["summary"], task="zero_shot", **CELL, **HERE).to_dict("records")
    seeds = [
        items_of(built, Cell.of("llama2", "hinge", seed), "zero_shot", "acc1")["value"].mean()
        for seed in ("0", "1")
    ]
    before = items_of(built, PRETRAINED, "zero_shot", "acc1")["value"].mean()
    assert found["seeds"] == 2
    assert found["mean"] == pytest.approx(np.mean(seeds))
    assert found["sd"] == pytest.approx(np.std(seeds, ddof=1))
    assert found["gain"] == pytest.approx(np.mean(seeds) - before)
    assert found["ci_low"] < found["mean"] < found["ci_high"]
    assert found["gain_low"] < found["gain"] < found["gain_high"]


def test_difference_accuracy_is_the_mean_over_attributes(built, tables):
    (found,) = rows(tables["summary"], task="difference/mean", **CELL, **HERE).to_dict("records")
    means = [
        items_of(built, Cell.of("llama2", "hinge", seed), f"difference/{name}", "accuracy")[
            "value"
        ].mean()
        for seed in ("0", "1")
        for name in ("background", "count", "object", "size")
    ]
    assert found["mean"] == pytest.approx(np.mean(means))


def test_gains_of_planted_skill_survive_and_shuffled_does_not(tables):
    summary = rows(tables["summary"], task="difference/mean", **HERE)
    assert rows(summary, llm="llama2")["survives"].all()
    assert not rows(summary, llm="shuffled-llama2")["survives"].any()
    tests = rows(tables["tests"], task="difference/mean", kind="llm", **HERE)
    (found,) = tests.to_dict("records")
    assert (found["first"], found["second"], found["runs"]) == ("llama2", "bert", 4)
    assert found["gain"] > 0.1
    assert found["survives"]


def test_holm_families_are_kind_metric_split_and_weights(tables):
    table = tables["tests"]
    for _, family in table.groupby(["kind", "task", "metric", "split", "weights"]):
        assert family["p_holm"].to_numpy() == pytest.approx(holm(family["p"]))
        assert (family["survives"] == (family["p_holm"] < 0.05)).all()
    cells = rows(table, kind="cell", task="zero_shot", **HERE)
    assert set(cells["first"]) == {
        f"{llm}/{loss}" for llm in ("llama2", "bert") for loss in ("squared", "hinge")
    }
    above = table[(table["stderr"] > 1e-9) & (table["p"] > 1e-9)]  # of what 40 images allow
    expected = 2 * norm.sf((above["gain"] / above["stderr"]).abs())
    assert above["p"].to_numpy() == pytest.approx(expected)


def test_mcnemar_only_where_items_share_no_image(tables):
    assert tables["tests"].groupby("task")["mcnemar_p"].count().to_dict() == {
        "clip_score": 0,
        "difference/mean": 0,
        "zero_shot": len(rows(tables["tests"], task="zero_shot")),
    }


def test_best_cell_is_chosen_on_validation(tables):
    summary = tables["summary"]
    choice = rows(
        summary, kind="cell", task="difference/mean", split="validation", weights="finetuned"
    )
    best = choice.loc[choice["mean"].idxmax()]
    marked = summary[summary["best"]]
    assert set(zip(marked["llm"], marked["loss"], strict=True)) == {(best["llm"], best["loss"])}


def test_llm_table_counts_what_was_written(built, tables):
    (found,) = rows(tables["llms"], llm="bert").to_dict("records")
    written = read_parquet(built.layout.differences("bert"))
    kept = written[written["kept"]]
    assert (found["rows"], found["kept"]) == (len(written), len(kept))
    assert found["true_share"] == pytest.approx(kept["true"].mean())
    assert found["mean_words"] == pytest.approx(kept["difference"].str.split().map(len).mean())
    drops = sum(found[name] for name in found if name.startswith("dropped: "))
    assert drops == len(written) - len(kept)
    one_way = kept[kept["true"] != kept["true_swapped"]]
    assert found["direction_accuracy"] == pytest.approx(one_way["true"].mean())
    assert 0 < found["true_share"] < found["direction_accuracy"] < 1
    assert (found["prompt_tokens"], found["completion_tokens"]) == (40, 20)
    assert found["self_repetition"] == pytest.approx(
        kept["difference"].str.lower().str.split().map(repetition).mean()
    )
    assert repetition(["a", "b", "c", "a", "b", "c"]) == 0.25
    assert rows(tables["llms"], llm="captions")["true_share"].isna().all()


def test_what_answers_cost(built):
    price = Price(input=1, output=2)
    table = describe_texts(
        built.layout, [Row("bert"), Row("llama2")], {}, {"bert": price}, {"bert": 2.5}
    ).set_index("llm")
    asked = len(read_parquet(built.layout.differences("bert")))
    assert table.loc["bert", "cost"] == pytest.approx(asked * (40 + 2 * 20) / 1e6)
    assert math.isnan(table.loc["llama2", "cost"])
    assert table.loc["bert", "rows_per_second"] == pytest.approx(asked / 2.5)
    assert math.isnan(table.loc["llama2", "rows_per_second"])


def test_texts_of_no_llm_that_were_all_kept_have_no_tokens(built, tmp_path):
    layout = Layout(tmp_path)
    write_parquet(layout.pairs, read_parquet(built.layout.pairs))
    written = read_parquet(built.layout.differences("captions"))
    none = pd.array([pd.NA] * len(written), dtype="Int64")
    written = written.assign(prompt_tokens=none, completion_tokens=none)
    write_parquet(layout.differences("captions"), written[written["kept"]])
    (found,) = describe_texts(layout, [Row.parse("captions")], {}, {}, {}).to_dict("records")
    assert math.isnan(found["prompt_tokens"])  # None could not be told from a number in the report
    assert math.isnan(found["completion_tokens"])


def test_markdown_and_latex_bold_what_survives(root, tables):
    markdown, latex = (root / f"tables/summary.{suffix}" for suffix in ("md", "tex"))
    shown = tables["summary"]
    shown = shown[shown["split"].isin(["test_scenes", "test_style"])]
    assert markdown.read_text().count("**") == 2 * shown["survives"].sum()
    assert latex.read_text().count(r"\textbf{") == shown["survives"].sum()
    assert "validation" not in markdown.read_text()
    assert r"shuffled-llama2" in latex.read_text()


def test_gather_again_gives_the_same_bytes(built, root):
    kinds = ("tables/*", "figures/*")
    before = {path: path.read_bytes() for kind in kinds for path in root.glob(kind)}
    names = figure_names(built.settings())
    assert len(before) == 6 + 2 * len(names)
    gather(built.settings(), built.layout)
    assert {path: path.read_bytes() for path in before} == before


def test_items_of_other_settings_are_refused(own):
    cell = own.layout.items(Cell.of("bert", "hinge", "0"))
    table = read_parquet(cell)
    write_parquet(cell, table[table["item_id"] > 0])
    with pytest.raises(DataError, match=r"bert/hinge/seed0.*same settings"):
        gather(own.settings(), own.layout)


def test_a_missing_cell_and_a_foreign_file_are_named(own):
    path = own.layout.metrics(Cell.of("bert", "hinge", "0"))
    whole = json.loads(path.read_text())
    for broken in ({"rows": [{}]}, {"rows": "none"}, []):
        write_json(path, broken)
        with pytest.raises(DataError, match=r"bert/hinge/seed0\.json"):
            gather(own.settings(), own.layout)
    write_json(path, whole)
    (own.layout.train_log(Cell.of("bert", "hinge", "0"))).write_text("{}\n")
    with pytest.raises(DataError, match="train_log"):
        gather(own.settings(), own.layout)


def test_one_cell_without_controls_is_reported(own):
    gather(own.settings(), own.layout)
    page = (own.layout.root / "report.html").read_text()
    assert "it has one LLM only" in page
    assert "With one seed" in page


def test_ten_thousand_metric_files_are_read_in_a_minute(own):
    """A tenth of them, in a tenth of the time."""
    layout, source = Layout(own.layout.root / "many"), own.layout.metrics(PRETRAINED).read_text()
    cells = [Cell.of("bert", f"loss{k % 100}", str(k // 100)) for k in range(1000)]
    for cell in cells:
        path = layout.metrics(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    start = time.process_time()
    long, provenances = read_metrics(layout, cells)
    long.to_csv(own.layout.root / "many.csv", index=False)
    assert time.process_time() - start < 6
    assert len(provenances) == 1000
    assert len(long) == 1000 * len(json.loads(source)["rows"])
