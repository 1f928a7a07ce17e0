"""An entry of kind ``reuse``: one LLM's answers, filtered in two ways."""

import math
from pathlib import Path

import pandas as pd
import pytest

from clipdiff.cli import filter
from clipdiff.errors import DataError
from clipdiff.files import read_parquet, write_parquet
from clipdiff.grid import Layout, Row
from clipdiff.tables.reading.llm_texts import describe_texts

TEXTS = [
    "The first shows two foxes, the second a dog.",
    "I cannot tell the first from the second.",
    "Keys.",
    "The first is black, the second is pink.",
    "The first is green, the second has bells on green.",
    "The first shows a bus, the second one as well, on yellow.",
    "The first shows two owls, the second shows one.",
]
ENTRY = "llm_definitions: {all: {kind: reuse, model: llama2, filter: {enabled: false}}}\n"


@pytest.fixture
def layout(data: Path) -> Layout:
    """Answers of llama2 about seven pairs, two of them in the other order too."""
    (data / "preset.yaml").write_text(ENTRY)
    answers = pd.DataFrame({"pair_id": range(len(TEXTS)), "text": TEXTS})
    answers = answers.assign(finish_reason="stop", prompt_tokens=30, completion_tokens=10)
    layout = Layout(data)
    write_parquet(layout.generations("llama2"), answers)
    turned = ["The first shows a dog, the second two foxes.", "I cannot tell them apart."]
    write_parquet(layout.swaps("llama2"), pd.DataFrame({"pair_id": [0, 1], "text": turned}))
    return layout


def filtered(layout: Layout, llm: str) -> pd.DataFrame:
    """Run the verb for one row; return its texts."""
    configs = [Path("config.yaml"), layout.root / "preset.yaml"]
    filter.command(llm, configs, results=layout.root)
    return read_parquet(layout.differences(llm))


def test_the_same_answers_under_another_filter(layout: Layout) -> None:
    own, reused = filtered(layout, "llama2"), filtered(layout, "all")
    assert own["kept"].tolist() == [True, False, False, True, True, True, True]
    assert reused["kept"].all()
    assert reused["difference"].tolist() == TEXTS
    assert filtered(layout, "shuffled-all")["kept"].sum() == len(TEXTS)
    table = describe_texts(
        layout, [Row("llama2"), Row("all")], {"all": "llama2"}, {}, {"llama2": 7.0}
    )
    by_llm = table.set_index("llm")
    assert by_llm["swap_consistency"].notna().all()
    assert by_llm.loc["llama2", "rows_per_second"] == 1
    assert math.isnan(by_llm.loc["all", "rows_per_second"]), "nothing was asked"


def test_answers_that_are_not_there_are_named(layout: Layout) -> None:
    layout.generations("llama2").unlink()
    with pytest.raises(DataError, match=r"generations/llama2\.parquet: no such file"):
        filtered(layout, "all")
