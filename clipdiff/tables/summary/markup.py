"""The summary for readers: Markdown and LaTeX."""

from collections.abc import Callable

import pandas as pd

from clipdiff.config.stages import GatherSettings
from clipdiff.tables.scope import families, measures_of, reported_splits
from clipdiff.tables.summary.arms import select, weight_kinds


def wide_tables(
    settings: GatherSettings,
    summary: pd.DataFrame,
    bold: Callable[[str], str],
    plus_minus: str = "±",
) -> dict[tuple[str, str, str], pd.DataFrame]:
    """Return one table of texts a reported split, weight setting and family of measures.

    Args:
        settings: says which measures and splits are reported.
        summary: ``tables/summary.csv``.
        bold: marks a gain that survives Holm's correction.
        plus_minus: between mean and standard deviation.
    """
    tables = {}
    for split in reported_splits(settings.evaluate):
        for weights in weight_kinds(summary):
            for family, measures in families(measures_of(settings)).items():
                columns = {}
                for measure in measures:
                    rows = select(summary, measure, split, weights).set_index(["llm", "loss"])
                    if not rows.empty:
                        texts = rows.apply(value_text, axis=1, args=(plus_minus,))
                        columns[measure.title] = texts
                        columns[f"{measure.title}: gain"] = rows.apply(gain_text, axis=1, bold=bold)
                if columns:
                    table = pd.concat(columns, axis=1, sort=False).fillna("").reset_index()
                    tables[split, weights, family] = table.rename(columns={"llm": "LLM"})
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
        columns = {name: table[name].map(_escape) for name in ("LLM", "loss")}
        for name in map(str, table):
            if name.endswith("gain"):
                columns[name] = table[name].str.replace("p<", "$p<$", regex=False)
        latex = table.assign(**columns).to_latex(
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
        f"{percent} % interval over images and Holm-adjusted p; bold: below "
        f"{settings.gather.alpha:g} after Holm."
    )


def _escape(text: str) -> str:
    for character in "_%&#":
        text = text.replace(character, f"\\{character}")
    return text.replace("±", r"$\pm$")
