"""The examples of docs/api.md, run from first to last on finished results."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/api.md"
MENTIONED = {"items", "metrics", "summary", "tests", "texts", "images", "provenance", "config"}


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_every_frame_has_an_example() -> None:
    text = "\n".join(examples())
    assert {name for name in MENTIONED if f"results.{name}" in text} == MENTIONED


@pytest.mark.slow
def test_the_examples_run(tiny_results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_results.parent)
    assert tiny_results.name == "results"
    names: dict[str, object] = {}
    for example in examples():
        exec(compile(example, str(PAGE), "exec"), names)
    assert float(names["value"]) > 0  # type: ignore[arg-type]
