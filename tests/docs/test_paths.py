"""Files, folders and sections that the documentation names are there."""

import re
from pathlib import Path

import pytest
from documentation import FENCE, PAGES, ROOT, spans

PATH = re.compile(
    r"(\.github|clipdiff|config|docs|envs|kernels|profiles|rules|tests)/[\w./*-]*\w[/*]?"
)
HOLDERS = re.compile(r"\b[A-Z]{2,}\b|[<{]")
"""``NAME``, ``<op>``, ``{llm}``: the reader's own."""
OWN = {
    "profiles/other": "a copy that the reader makes",
    "clipdiff/losses/sigmoid.py": "the file that the reader writes",
}


def named_paths() -> list[tuple[Path, str]]:
    return sorted(
        {
            (page, span)
            for page, text in spans()
            for span in text.split()
            if PATH.fullmatch(span) and not HOLDERS.search(span)
        }
    )


@pytest.mark.parametrize(("page", "path"), named_paths(), ids=lambda each: str(each))
def test_a_named_path_is_there(page: Path, path: str) -> None:
    assert path in OWN or any(ROOT.glob(path.rstrip("/"))), f"{page.name} names {path}"


def test_the_reader_s_own_files_are_not_there() -> None:
    assert [path for path in OWN if (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    files = [target.partition("#")[0] for target in targets if "://" not in target]
    assert [file for file in files if file and not (page.parent / file).exists()] == []
