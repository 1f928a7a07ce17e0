"""The page: whole, self-contained, and without a fault in a real browser."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from clipdiff.config.stages import GatherSettings
from clipdiff.tables.figures.names import figure_names
from clipdiff.tables.reading.job_costs import generation_seconds, job_costs, summed
from clipdiff.tables.report.page import duration, inline_svg

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Collects ids, tables, figures and addresses, and checks that tags close in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.counts: dict[str, int] = {}
        self.addresses: list[str] = []
        self.unnamed: list[str] = []
        self.feed(text)

    def handle_startendtag(self, tag, attrs):
        self.note(tag, dict(attrs))

    def handle_starttag(self, tag, attrs):
        self.note(tag, dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def note(self, tag: str, attributes: dict) -> None:
        """Record one tag."""
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if "id" in attributes:
            self.ids.append(attributes["id"])
        self.addresses += [attributes[n] for n in ("href", "src", "xlink:href") if n in attributes]
        named = attributes.get("alt") or attributes.get("aria-label")
        if (tag == "img" or attributes.get("role") == "img") and not named:
            self.unnamed.append(tag)


@pytest.fixture
def page(root):
    """The path of the report."""
    return root / "report.html"


def test_page_is_whole_and_needs_nothing_else(built, page):
    found = Page(page.read_text())
    assert not found.open
    assert len(found.ids) == len(set(found.ids))
    assert all(address.startswith(("data:", "#")) for address in found.addresses)
    anchors = {address[1:] for address in found.addresses if address.startswith("#")}
    assert anchors <= set(found.ids)
    assert not found.unnamed
    settings: GatherSettings = built.settings()
    assert found.counts["svg"] == len(figure_names(settings))
    # splits x weights, answers, statistics, what LLMs wrote, cost twice
    assert found.counts["table"] == 2 * 2 + 5
    assert found.counts["img"] == 2 * 3


def test_page_says_what_the_tables_say(built, page):
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.read_text()))
    for llm in ("llama2", "bert", "captions", "rewritten-llama2", "shuffled-llama2"):
        assert llm in text
    assert "Difference accuracy Yes: 8 better of 8 (2 splits)" in text
    assert "4 of 4 better and 0 worse on test_scenes" in text
    assert "Does the LLM matter? Yes, for Difference accuracy" in text
    assert "The best on the validation split is llama2" in text
    assert "where chance or the pretrained CLIP has 0.500: they teach no differences" in text
    assert "23.5" not in text
    assert "24 s" in text  # two jobs of training, 12.5 s and 11.0 s


def test_svg_gets_own_ids_and_the_pages_colours():
    text = (
        '<?xml version="1.0"?>\n<svg width="100pt" height="50pt" viewBox="0 0 100 50">'
        '<metadata>x</metadata><g id="a" style="fill: #1b1f24"/><use href="#a" fill="#ffffff" '
        'clip-path="url(#a)"/></svg>'
    )
    found = inline_svg(text, "gain")
    assert 'id="gain-a" style="fill: currentColor"' in found
    assert 'href="#gain-a" fill="var(--paper)" clip-path="url(#gain-a)"' in found
    assert "metadata" not in found
    assert 'height="50pt"' not in found
    assert found.startswith('<svg aria-hidden="true"')


def test_durations_read_well():
    assert [duration(s) for s in (12.4, 300, 9000)] == ["12 s", "5.0 min", "2.5 h"]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="Debian's chromium is not installed")
def test_a_real_browser_finds_tables_figures_and_no_error(built, page, tmp_path):
    probe = page.with_name("probe.html")
    script = (
        "<script>const broken = [...document.images].filter(i => !i.complete || !i.naturalWidth);"
        "const seen = [...document.querySelectorAll('svg')].filter(s => "
        "s.getBoundingClientRect().height > 50);"
        "document.title = JSON.stringify({tables: document.querySelectorAll('table').length, "
        "figures: seen.length, broken: broken.length, requests: "
        "performance.getEntriesByType('resource').filter(r => !r.name.startsWith('data:')).length,"
        " wide: Math.max(0, document.documentElement.scrollWidth - innerWidth)});"
        "console.info('the page was probed');</script>"
    )
    probe.write_text(page.read_text().replace("</body>", f"{script}</body>"))
    done = subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={tmp_path}", "--enable-logging=stderr",
            "--window-size=500,900", "--dump-dom", f"file://{probe}",
        ],
        capture_output=True, text=True, timeout=400, check=True,
    )  # fmt: skip
    probe.unlink()
    (line,) = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert "the page was probed" in line  # so errors would be seen, and there are none
    title = re.search(r"<title>(.*?)</title>", done.stdout)[1]
    figures = len(figure_names(built.settings()))
    assert f'"tables":9,"figures":{figures},"broken":0,"requests":0,"wide":0' in title


def test_costs_by_rule_and_by_llm(tmp_path):
    header = "s\th:m:s\tmax_rss\tresources\n"
    for name, line in {
        "embed": "5.0\t0:00:05\t100.0\t{'mem_mb': 8000}",
        "generate_part/llama2.1of2": "60.0\t0:01:00\t-\t{'gres': 'gpu:a100:2'}",
        "train/llama2/hinge/seed0": "10.0\t0:00:10\t300.0\t{'gpu': 1, 'mem_mb': 1}",
        "train/bert/hinge/seed0": "20.0\t0:00:20\t200.0\t{'slurm_partition': 'gpu'}",
    }.items():
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(header + line + "\n")
    jobs = job_costs(tmp_path)
    by_rule = summed(jobs, "rule").set_index("name")
    assert by_rule["seconds"].to_dict() == {"generate_part": 60, "train": 30, "embed": 5}
    assert by_rule["gpu_seconds"].to_dict() == {"generate_part": 120, "train": 10, "embed": 0}
    assert generation_seconds(jobs) == {"llama2": 60}
    by_llm = summed(jobs, "llm").set_index("name")
    assert by_llm["seconds"].to_dict() == {"llama2": 70, "bert": 20}
    assert by_llm["mb"].to_dict() == {"llama2": 300, "bert": 200}
    assert summed(job_costs(tmp_path / "none"), "rule").empty
