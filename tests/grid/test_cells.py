"""The grid's grammar: every name is read as it was printed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipdiff.errors import ConfigError
from clipdiff.grid import PRETRAINED, Cell, Control, Layout, Row
from clipdiff.grid.cells import is_reserved

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}", fullmatch=True).filter(
    lambda name: not is_reserved(name)
)
CONTROLS = st.sampled_from([None, Control.REWRITTEN, Control.SHUFFLED])


@given(llm=NAMES, control=CONTROLS, loss=NAMES, seed=st.integers(0, 10**6))
def test_a_cell_is_read_as_it_was_printed(llm, control, loss, seed):
    cell = Cell(Row(llm, control), loss, str(seed))
    assert Row.parse(str(cell.row)) == cell.row
    assert Cell.parse(str(cell)) == cell
    assert Cell.parse(f"llm={cell.row},loss={loss},seed={seed}") == cell
    assert cell.row.kind == ("cell" if control is None else "control")


@pytest.mark.parametrize(
    "name",
    ["pretrained", "captions", "rewritten", "shuffled", "none", "shuffled-x", "rewritten-gpt-3.5"],
)
def test_an_entry_cannot_read_as_a_control(name):
    assert is_reserved(name)


def test_rows_without_an_llm():
    assert Row.parse("captions") == Row(control=Control.CAPTIONS)
    assert str(Row(control=Control.CAPTIONS)) == "captions"
    assert Cell.parse("pretrained") == Cell.parse("llm=pretrained") == PRETRAINED
    assert str(PRETRAINED) == "pretrained/none/seednone"
    assert (PRETRAINED.row.kind, Row.parse("captions").kind) == ("pretrained", "control")


@pytest.mark.parametrize(
    "text", ["bert", "bert/hinge", "bert/hinge/", "a/b/c/d", "llm=a,loss=b", "llm=a,loss=b,sed=0"]
)
def test_what_is_no_cell(text):
    with pytest.raises(ConfigError, match=r"^cell '.*': expected ROW/LOSS/seedNUMBER"):
        Cell.parse(text)


def test_a_layout_takes_patterns_and_cells():
    layout, cell = Layout(Path("r")), Cell.of("bert", "hinge", 0)
    pattern = layout.weights("{llm}/{loss}/seed{seed}")
    assert str(pattern).format(llm="bert", loss="hinge", seed=0) == str(layout.weights(cell))
    assert layout.differences(Row.parse("shuffled-t5")) == Path("r/differences/shuffled-t5.parquet")
