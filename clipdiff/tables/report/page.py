"""``report.html``: one page that needs nothing else, for a reader who never saw the project."""

import base64
import io
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from clipdiff.config.stages import GatherSettings
from clipdiff.files import written_whole
from clipdiff.provenance import Provenance
from clipdiff.tables.answer.caveats import limits
from clipdiff.tables.answer.effects import find_effects
from clipdiff.tables.answer.paragraphs import answer_paragraphs
from clipdiff.tables.answer.short_answers import short_answers
from clipdiff.tables.figures.names import figure_names
from clipdiff.tables.figures.style import INK
from clipdiff.tables.reading.examples import ExampleImage, WrittenPair, decode
from clipdiff.tables.reading.job_costs import summed
from clipdiff.tables.scope import measures_of, reported_splits
from clipdiff.tables.summary.arms import best_arm, select, weight_kinds
from clipdiff.tables.summary.markup import p_text
from clipdiff.tasks.base import Measure

MOST_COLUMNS = 4  # measures in one table of the page
OPENED = 3  # more tables than these are folded away


@dataclass(frozen=True)
class Evidence:
    """Everything that the report shows; tables are those of ``tables/``."""

    settings: GatherSettings
    long: pd.DataFrame
    summary: pd.DataFrame
    tests: pd.DataFrame
    texts: pd.DataFrame
    written: Sequence[WrittenPair]
    costs: pd.DataFrame
    provenances: Sequence[Provenance]


def write_report(evidence: Evidence, figures: Path, page: Path) -> None:
    """Render the page.

    Args:
        evidence: what it shows.
        figures: folder with the SVG figures, which are put into the page.
        page: file to write.
    """
    settings = evidence.settings
    tables = summary_tables(settings, evidence.summary)
    effects = find_effects(settings, evidence.long, evidence.summary, evidence.tests)
    text = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            settings=settings,
            answers=answer_paragraphs(settings, evidence.summary, effects),
            short_answers=short_answers(effects),
            effects=effects,
            limits=limits(settings, effects),
            best=best_arm(evidence.summary),
            splits=reported_splits(settings.evaluate),
            tables=tables,
            opened=OPENED,
            measures=_explained(settings, tables),
            figures={
                name: inline_svg((figures / f"{name}.svg").read_text(), name)
                for name in figure_names(settings)
            },
            texts=evidence.texts.to_dict("records"),
            has_costs=bool(evidence.texts["cost"].notna().any()),
            drops=[name for name in map(str, evidence.texts) if name.startswith("dropped: ")],
            written=evidence.written,
            costs={
                title: summed(evidence.costs, by).to_dict("records")
                for title, by in (("Step", "rule"), ("Texts by", "llm"))
            },
            facts=provenance_facts(evidence.provenances),
        )
    )
    with written_whole(page) as scratch:
        scratch.write_text(text)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("clipdiff.tables.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"p_text": p_text, "data_uri": data_uri, "duration": duration}
    return environment


def summary_tables(settings: GatherSettings, summary: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the tables of the page, the main measures first: few measures each, row by row."""
    tables, measures = [], measures_of(settings)
    kinds = product((True, False), weight_kinds(summary), reported_splits(settings.evaluate))
    for main, weights, split in kinds:
        parts = {m.title: select(summary, m, split, weights) for m in measures if m.main == main}
        columns = [(title, part) for title, part in parts.items() if not part.empty]
        for start in range(0, len(columns), MOST_COLUMNS):
            some = dict(columns[start : start + MOST_COLUMNS])
            whole = main and len(columns) <= MOST_COLUMNS
            tables.append(
                {
                    "title": f"{split}, {weights} weights"
                    + ("" if whole else f": {', '.join(some)}"),
                    "main": main,
                    "weights": weights,
                    "measures": list(some),
                    "rows": _rows_of_arms(some),
                }
            )
    return tables


def _explained(settings: GatherSettings, tables: Iterable[dict[str, Any]]) -> list[Measure]:
    """Return the measures of the tables that have something to tell their reader."""
    titles = {title for table in tables for title in table["measures"]}
    return [each for each in measures_of(settings) if each.about and each.title in titles]


def _rows_of_arms(parts: dict[str, pd.DataFrame]) -> list[dict[Hashable, Any]]:
    """Return one row an arm that any of the measures has."""
    rows: dict[tuple[str, str], dict[Hashable, Any]] = {}
    for title, part in parts.items():
        for cell in part.to_dict("records"):
            row = rows.setdefault((cell["llm"], cell["loss"]), {**cell, "cells": {}})
            row["cells"][title] = cell
    return list(rows.values())


def inline_svg(text: str, name: str) -> Markup:
    """Return a figure to put into a page: own ids, the page's colours, no size of its own.

    Ink becomes the page's text colour and white its paper, so that a dark page stays readable.
    """
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r'(<svg[^>]*?) height="[\d.]+pt"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) width="([\d.]+)pt"', r'\1 style="max-width:\2pt"', text, count=1)
    text = text.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)
    return Markup(text.replace(INK, "currentColor").replace("#ffffff", "var(--paper)"))


def data_uri(image: ExampleImage) -> str:
    """Return an image as a ``data:`` address."""
    stream = io.BytesIO()
    decode(image).save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def duration(seconds: float) -> str:
    """Return a time as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def provenance_facts(provenances: Sequence[Provenance]) -> dict[str, str]:
    """Return commit, versions, machine and dates; several values stand where cells differ."""

    def distinct(values: Iterable[object]) -> str:
        return ", ".join(dict.fromkeys(str(value) for value in values if value)) or "unknown"

    dates = sorted(each.date for each in provenances)
    names = dict.fromkeys(name for each in provenances for name in each.versions)
    versions = {name: distinct(each.versions.get(name) for each in provenances) for name in names}
    return {
        "commit": distinct(each.git_commit for each in provenances),
        "Python": distinct(each.python for each in provenances),
        **{name: version for name, version in versions.items() if version != "unknown"},
        "machine": distinct(each.host for each in provenances),
        "GPU": distinct([gpu for each in provenances for gpu in each.gpus] or ["none"]),
        "evaluated": dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}",
    }
