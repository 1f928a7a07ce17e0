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
    Measure,
    reported_splits,
    row_kind,
)

KEY = ["llm", "loss", "task", "metric", "split", "weights"]


def summarise(settings: GatherSettings, long: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``tables/summary.csv``.

    Args:
        settings: name the split on which the best cell is chosen.
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
    choice = select(summary, DIFFERENCE, settings.evaluate.validation, FINETUNED)
    choice = choice[choice["kind"] == "cell"]
    if not choice.empty:
        best = choice.loc[choice["mean"].idxmax()]
        summary["best"] = (summary["llm"] == best["llm"]) & (summary["loss"] == best["loss"])
    return summary


def best_cell(summary: pd.DataFrame) -> tuple[str, str] | None:
    """Return LLM and loss of the cell marked as best; None without one."""
    marked = summary[summary["best"]]
    return None if marked.empty else (str(marked["llm"].iloc[0]), str(marked["loss"].iloc[0]))


def weight_kinds(summary: pd.DataFrame) -> list[str]:
    """Return the weight settings of finetuned models in a table, ``finetuned`` first."""
    kinds = [name for name in summary["weights"].unique() if name != "pretrained"]
    return sorted(kinds, key=lambda name: name != FINETUNED)


def select(summary: pd.DataFrame, measure: Measure, split: str, weights: str) -> pd.DataFrame:
    """Return the rows of one measure, split and weight setting, with those of ``pretrained``.

    None where no finetuned model was measured, as with a linear probe of a frozen image tower.
    """
    rows = summary[
        (summary["task"] == measure.task)
        & (summary["metric"] == measure.metric)
        & (summary["split"] == split)
        & ((summary["weights"] == weights) | (summary["kind"] == "pretrained"))
    ]
    return rows if (rows["kind"] != "pretrained").any() else rows[:0]


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
    tables = {}
    for split in reported_splits(settings.evaluate):
        for name in weight_kinds(summary):
            for family, measures in groupby(MEASURES, attrgetter("family")):
                columns = {}
                for measure in measures:
                    rows = select(summary, measure, split, name).set_index(["llm", "loss"])
                    if not rows.empty:
                        texts = rows.apply(value_text, axis=1, args=(plus_minus,))
                        columns[measure.title] = texts
                        columns[f"{measure.title}: gain"] = rows.apply(gain_text, axis=1, bold=bold)
                if columns:
                    table = pd.concat(columns, axis=1, sort=False).fillna("").reset_index()
                    tables[split, name, family] = table.rename(columns={"llm": "LLM"})
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
            label=f"tab:{split}-{weights}-{family.lower().replace(' ', '-')}",
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
