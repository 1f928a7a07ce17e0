"""The notebook of docs/examples: it runs on finished results, and lies in git without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs/examples/results.ipynb"


def read() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_its_outputs_are_stripped() -> None:
    notebook = read()
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (not cell.outputs and cell.execution_count is None)
        assert not cell.metadata, f"{cell.id}: {cell.metadata}"


@pytest.mark.slow
def test_it_runs_on_finished_results(
    tiny_results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIPDIFF_RESULTS", str(tiny_results))
    notebook = read()
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()  # raises where a cell does
    cells = {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}
    outputs = {name: cell.outputs for name, cell in cells.items()}
    for name in ("gains-code", "rank-code"):
        assert any("image/png" in output.get("data", {}) for output in outputs[name]), name
    for name in ("metrics-code", "tests-code", "items-code"):
        assert any("text/html" in output.get("data", {}) for output in outputs[name]), name
    compared = [line.split() for line in outputs["compare-code"][-1].text.splitlines()]
    assert [name for name, *_ in compared] == ["pretrained", "averaged-0.50", "finetuned"]
    for _, forth, back in compared:
        assert float(forth) == pytest.approx(-float(back))
    first, _, last = outputs["loss-code"][-1].text.split()
    assert float(last) < float(first)
    assert not list(tmp_path.iterdir())
