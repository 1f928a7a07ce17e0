"""Stage ``gather``: from all cells' files to tables, figures and the report."""

import logging
from pathlib import Path

import pandas as pd

from clipdiff.config.stages import GatherSettings
from clipdiff.errors import DataError
from clipdiff.files import written_whole
from clipdiff.grid import Results, Variant, all_variants
from clipdiff.tables.comparisons import compare
from clipdiff.tables.costs import generation_seconds, job_costs
from clipdiff.tables.draw import draw_figures
from clipdiff.tables.examples import SCORE, Shown, scored_pairs, shown_cell, written_pairs
from clipdiff.tables.llms import describe_texts
from clipdiff.tables.long import read_metrics
from clipdiff.tables.measures import MEASURES, splits_with
from clipdiff.tables.outcomes import read_outcomes
from clipdiff.tables.report import Evidence, write_report
from clipdiff.tables.summary import best_cell, summarise, summary_latex, summary_markdown

log = logging.getLogger(__name__)

WRITTEN_PAIRS = 3


def gather(settings: GatherSettings, root: Path) -> None:
    """Write ``tables/``, ``figures/`` and ``report.html`` under the results folder ``root``.

    Args:
        settings: the grid, the statistics, and what the report shows.
        root: folder with the outputs of all other stages.

    Raises:
        DataError: a file of a cell is missing, truncated, or of other items than the rest.
    """
    files, variants = Results(root), all_variants(settings)
    long, provenances = read_metrics(files, variants)
    outcomes = read_outcomes(files, variants, [*MEASURES, SCORE])
    tests = compare(settings, [o for o in outcomes if o.measure in MEASURES])
    summary = summarise(settings, long, tests)
    rows = list(dict.fromkeys(v.llm for v in variants if not v.is_pretrained))
    costs = job_costs(root / "benchmarks")
    seconds = generation_seconds(costs)
    texts = describe_texts(files, rows, settings.answers, settings.prices, seconds)
    tables = {"metrics": long, "tests": tests, "summary": summary, "llms": texts}
    write_tables(settings, tables, root / "tables")
    log.info("tables: %d rows of %d variants", len(long), len(variants))
    captions = Shown(files.captions)
    shown = splits_with(settings.evaluate, "difference_classification")[:1]
    chosen, draw = shown_cell(best_cell(summary), variants), settings.gather
    scores = [outcome for outcome in outcomes if outcome.measure is SCORE]
    pairs = scored_pairs(scores, shown, chosen, captions, draw.example_pairs, draw.seed)
    logs = read_logs(files, variants)
    draw_figures(settings, summary, texts, logs, pairs, chosen, root / "figures")
    evidence = Evidence(
        settings=settings,
        long=long,
        summary=summary,
        tests=tests,
        texts=texts,
        written=written_pairs(files, settings.llms, captions, WRITTEN_PAIRS, draw.seed),
        costs=costs,
        provenances=provenances,
    )
    write_report(evidence, root / "figures", root / "report.html")
    log.info("report: %s", root / "report.html")


def write_tables(settings: GatherSettings, tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write every table as CSV, and the summary as Markdown and LaTeX too."""
    for name, table in tables.items():
        with written_whole(folder / f"{name}.csv") as scratch:
            table.to_csv(scratch, index=False)
    for suffix, render in (("md", summary_markdown), ("tex", summary_latex)):
        with written_whole(folder / f"summary.{suffix}") as scratch:
            scratch.write_text(render(settings, tables["summary"]))


def read_logs(files: Results, variants: list[Variant]) -> pd.DataFrame:
    """Return the columns ``llm, loss, seed, step, value`` of all runs' training logs.

    Raises:
        DataError: a log is missing or its lines are no JSON with ``step`` and ``loss``.
    """
    tables = []
    for variant in variants:
        if variant.is_pretrained:
            continue
        path = files.model(variant) / "train_log.jsonl"
        try:
            lines = pd.read_json(path, lines=True)[["step", "loss"]]
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{path}: no training log with step and loss ({error}); train the cell again"
            ) from error
        lines = lines.rename(columns={"loss": "value"})
        tables.append(lines.assign(llm=variant.llm, loss=variant.loss, seed=variant.seed))
    return pd.concat(tables, ignore_index=True)
