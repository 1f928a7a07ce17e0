"""The summary: LLM x loss in every main metric, split and weight setting; CSV, Markdown, LaTeX."""

from collections.abc import Callable
from itertools import groupby
from operator import attrgetter

import pandas as pd

from clipdiff.config.stages import GatherSettings
from clipdiff.tables.measures import (
    DIFFERENCE,
    FINETUNED,
    MEASURES,
    VALIDATION,
    Measure,
    reported_splits,
    row_kind,
)

KEY = ["llm", "loss", "task", "metric", "split", "weights"]


def summarise(long: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``tables/summary.csv``.

    Args:
        long: ``tables/metrics.csv``.
        tests: ``tables/tests.csv``.

    Returns:
        ``mean`` and ``sd`` over seeds, the interval of the mean over pictures, the gain over
        pretrained with its interval, p and Holm-adjusted p; ``best`` marks the cell chosen on the
        validation split.
    """
    main = pd.DataFrame([(m.task, m.metric) for m in MEASURES], columns=["task", "metric"])
    rows = long.merge(main, on=["task", "metric"])
    grouped = rows.groupby(KEY, sort=False)
    summary = grouped.agg(
        seeds=("seed", "size"),
        mean=("value", "mean"),
        sd=("value", "std"),
        ci_low=("ci_low", "first"),
        ci_high=("ci_high", "first"),
    ).reset_index()
    against = tests[tests["second"] == "pretrained"].copy()
    against[["llm", "loss"]] = against["first"].str.rsplit("/", n=1, expand=True)
    renamed = {"ci_low": "gain_low", "ci_high": "gain_high"}
    kept = ["value_low", "value_high", "gain", "gain_low", "gain_high", "p", "p_holm", "survives"]
    against = against.rename(columns=renamed)[KEY + kept]
    summary = summary.merge(against, on=KEY, how="left")
    tested = summary["value_low"].notna()
    for side in ("low", "high"):
        summary.loc[tested, f"ci_{side}"] = summary.loc[tested, f"value_{side}"]
    summary = summary.drop(columns=["value_low", "value_high"])
    summary["survives"] = summary["survives"].eq(True)
    summary.insert(2, "kind", summary["llm"].map(row_kind))
    summary["best"] = False
    if chosen := best_cell(summary):
        summary["best"] = (summary["llm"] == chosen[0]) & (summary["loss"] == chosen[1])
    return summary


def best_cell(summary: pd.DataFrame) -> tuple[str, str] | None:
    """Return LLM and loss of the grid's best cell on the validation split; None without one."""
    rows = select(summary, DIFFERENCE, VALIDATION, FINETUNED)
    rows = rows[rows["kind"] == "cell"]
    if rows.empty:
        return None
    best = rows.loc[rows["mean"].idxmax()]
    return str(best["llm"]), str(best["loss"])


def select(summary: pd.DataFrame, measure: Measure, split: str, weights: str) -> pd.DataFrame:
    """Return the rows of one measure, split and weight setting, with those of ``pretrained``."""
    return summary[
        (summary["task"] == measure.task)
        & (summary["metric"] == measure.metric)
        & (summary["split"] == split)
        & ((summary["weights"] == weights) | (summary["kind"] == "pretrained"))
    ]


def wide_tables(
    settings: GatherSettings,
    summary: pd.DataFrame,
    bold: Callable[[str], str],
    plus_minus: str = "±",
) -> dict[tuple[str, str, str], pd.DataFrame]:
    """Return one table of text cells a reported split, weight setting and family of measures.

    Args:
        settings: says which splits are reported.
        summary: of ``summarise``.
        bold: marks a gain that survives Holm's correction.
        plus_minus: between mean and standard deviation.
    """
    weights = [name for name in summary["weights"].unique() if name != "pretrained"]
    tables = {}
    for split in reported_splits(settings.evaluate.splits):
        for name in sorted(weights, key=lambda name: name != FINETUNED):
            for family, measures in groupby(MEASURES, attrgetter("family")):
                columns = {}
                for measure in measures:
                    rows = select(summary, measure, split, name).set_index(["llm", "loss"])
                    if not rows.empty:
                        texts = rows.apply(value_text, axis=1, args=(plus_minus,))
                        columns[measure.title] = texts
                        columns[f"{measure.title}: gain"] = rows.apply(gain_text, axis=1, bold=bold)
                if columns:
                    table = pd.DataFrame(columns).reset_index().rename(columns={"llm": "LLM"})
                    tables[split, name, family] = table
    return tables


def value_text(row: pd.Series, plus_minus: str = "±") -> str:
    """Return the mean, and the standard deviation over seeds if there are several."""
    return f"{row['mean']:.3f}" + (f" {plus_minus} {row['sd']:.3f}" if row["seeds"] > 1 else "")


def gain_text(row: pd.Series, bold: Callable[[str], str]) -> str:
    """Return the gain, bold where it survives, its interval and its Holm-adjusted p."""
    if pd.isna(row["gain"]):
        return ""
    gain = bold(f"{row['gain']:+.3f}") if row["survives"] else f"{row['gain']:+.3f}"
    return f"{gain} [{row['gain_low']:+.3f}, {row['gain_high']:+.3f}] {p_text(row['p_holm'])}"


def p_text(p: float) -> str:
    """Return a p value as a reader wants it."""
    return "p<0.001" if p < 0.001 else f"p={p:.3f}"


def summary_markdown(settings: GatherSettings, summary: pd.DataFrame) -> str:
    """Return all wide tables as Markdown, with what their cells mean."""
    parts = [_caption(settings)]
    tables = wide_tables(settings, summary, "**{}**".format)
    for (split, weights, family), table in tables.items():
        text = table.to_markdown(index=False, disable_numparse=True)
        parts.append(f"### {family}: {split}, {weights} weights\n\n{text}")
    return "\n\n".join(parts) + "\n"


def summary_latex(settings: GatherSettings, summary: pd.DataFrame) -> str:
    """Return all wide tables as LaTeX (booktabs), one ``table*`` each."""
    parts = []
    tables = wide_tables(settings, summary, r"\textbf{{{}}}".format, r"$\pm$")
    for (split, weights, family), table in tables.items():
        names = {"LLM": table["LLM"].map(_escape), "loss": table["loss"].map(_escape)}
        gains = [name for name in table if name.endswith("gain")]
        cells = {name: table[name].str.replace("p<", "$p<$", regex=False) for name in gains}
        latex = table.assign(**names, **cells).to_latex(
            index=False,
            escape=False,
            caption=f"{family}: {_escape(split)}, {_escape(weights)} weights. "
            f"{_escape(_caption(settings))}",
            label=f"tab:{split}-{weights}-{family.lower()}",
        )
        parts.append(latex.replace("{table}", "{table*}"))
    return "\n".join(parts)


def _caption(settings: GatherSettings) -> str:
    percent = f"{100 * settings.evaluate.confidence:g}"
    return (
        "Mean ± standard deviation over seeds; gain over the pretrained CLIP with its "
        f"{percent} % interval over pictures and Holm-adjusted p; bold: below "
        f"{settings.gather.alpha:g} after Holm."
    )


def _escape(text: str) -> str:
    for character in "_%&#":
        text = text.replace(character, f"\\{character}")
    return text.replace("±", r"$\pm$")
