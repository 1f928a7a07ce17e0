"""The site is built from this repository's files alone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from documentation import ROOT

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [BIN / "mkdocs", "build", "--strict", "--site-dir", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_every_page_is_there(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in ROOT.glob("docs/**/*.md")}
    assert {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")} >= pages


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    scripts = r"<(?:script|img|iframe)[^>]*\ssrc=\"?https?:"
    styles = r"<link[^>]*\brel=\"?stylesheet[^>]*https?:"
    loads = re.compile(f"{scripts}|{styles}")
    assert [page.name for page in site.rglob("*.html") if loads.search(page.read_text())] == []


@pytest.mark.slow
def test_the_reference_tells_arguments(site: Path) -> None:
    text = (site / "api/kernels.html").read_text()
    assert "contrastive_loss_rows" in text
    assert "row_offset" in text
