"""The tables of texts, written by LLMs, that tasks read."""

from collections.abc import Mapping
from pathlib import Path

from clipdiff.config.model import AnyTask
from clipdiff.grid.layout import TEXT_TABLES, Layout
from clipdiff.settings import LLM_TEXTS, Evaluate


def text_table_paths(
    section: Evaluate,
    tasks: Mapping[str, AnyTask],
    text_llm: str,
    writer: str,
    layout: Layout,
) -> dict[str, Path]:
    """Return the tables of texts that a split's tasks read, by the name of their setting.

    Args:
        section: as it holds for the split.
        tasks: the entries of all tasks by name.
        text_llm: who writes about classes.
        writer: who writes about held-out pairs.
        layout: where the texts of this run's LLMs lie.
    """
    names = frozenset().union(*(tasks[name].text_tables for name in section.tasks))
    tables = {}
    for table in TEXT_TABLES:
        path: str | None = getattr(section, table)
        llm = writer if table == "pair_differences" else text_llm
        if table not in names or not path:
            continue
        if path == LLM_TEXTS:
            tables[table] = layout.evaluation_text(llm, table)
        else:
            tables[table] = Path(path.replace("{llm}", llm))
    return tables
