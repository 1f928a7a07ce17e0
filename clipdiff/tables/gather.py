"""Stage ``gather``: from all cells' files to tables, figures and the report."""

import logging
from pathlib import Path

import pandas as pd

from clipdiff.config.stages import GatherSettings
from clipdiff.files import written_whole
from clipdiff.grid import Layout
from clipdiff.tables.figures.draw import draw_figures
from clipdiff.tables.reading.examples import (
    SCORE,
    ImageTable,
    example_arm,
    scored_pairs,
    written_pairs,
)
from clipdiff.tables.reading.item_files import read_outcomes
from clipdiff.tables.reading.job_costs import generation_seconds, job_costs
from clipdiff.tables.reading.llm_texts import describe_texts
from clipdiff.tables.reading.metrics_files import read_metrics
from clipdiff.tables.reading.training_logs import read_logs
from clipdiff.tables.report.page import Evidence, write_report
from clipdiff.tables.scope import DIFFERENCE, measures_of, splits_with
from clipdiff.tables.significance import compare
from clipdiff.tables.summary.arms import best_arm, summarise
from clipdiff.tables.summary.markup import summary_latex, summary_markdown

log = logging.getLogger(__name__)

WRITTEN_PAIRS = 3


def gather(settings: GatherSettings, layout: Layout) -> None:
    """Write ``tables/``, ``figures/`` and ``report.html``.

    Args:
        settings: the grid, the statistics, and what the report shows.
        layout: where the outputs of all other stages lie.

    Raises:
        DataError: a file of a cell is missing, truncated, or of other items than the rest.
    """
    cells, draw = settings.cells, settings.gather
    rows = list(dict.fromkeys(cell.row for cell in cells if not cell.is_pretrained))
    long, provenances = read_metrics(layout, cells)
    outcomes = read_outcomes(layout, cells, [*measures_of(settings), SCORE])
    tests = compare(settings, [each for each in outcomes if each.measure != SCORE])
    summary = summarise(settings, long, tests)
    costs = job_costs(layout.benchmarks)
    seconds = generation_seconds(costs)
    texts = describe_texts(layout, rows, settings.answers, settings.prices, seconds)
    tables = {"metrics": long, "tests": tests, "summary": summary, "llms": texts}
    write_tables(settings, tables, layout.tables)
    log.info("tables: %d rows of %d cells", len(long), len(cells))
    images, arm = ImageTable(layout.captions), example_arm(best_arm(summary), cells)
    scores = [each for each in outcomes if each.measure == SCORE]
    split = splits_with(settings, DIFFERENCE)[:1]
    pairs = scored_pairs(scores, split, arm, images, draw.example_pairs, draw.seed)
    logs = read_logs(layout, cells)
    draw_figures(settings, summary, texts, logs, pairs, arm, layout.figures)
    evidence = Evidence(
        settings=settings,
        long=long,
        summary=summary,
        tests=tests,
        texts=texts,
        written=written_pairs(layout, settings.llms, images, WRITTEN_PAIRS, draw.seed),
        costs=costs,
        provenances=provenances,
    )
    write_report(evidence, layout.figures, layout.report)
    log.info("report: %s", layout.report)


def write_tables(settings: GatherSettings, tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write every table as CSV, and the summary as Markdown and LaTeX too."""
    for name, table in tables.items():
        with written_whole(folder / f"{name}.csv") as scratch:
            table.to_csv(scratch, index=False)
    for suffix, render in (("md", summary_markdown), ("tex", summary_latex)):
        with written_whole(folder / f"summary.{suffix}") as scratch:
            scratch.write_text(render(settings, tables["summary"]))
