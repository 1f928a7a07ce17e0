"""The rows of ``tables/summary.csv``, and what others pick from them."""

import pandas as pd

from clipdiff.config.stages import GatherSettings
from clipdiff.grid import Row
from clipdiff.tables.scope import DIFFERENCE, FINETUNED, measures_of
from clipdiff.tasks.base import Measure

KEY = ["llm", "loss", "task", "metric", "split", "weights"]
TESTED = ["value_low", "value_high", "gain", "gain_low", "gain_high", "p", "p_holm", "survives"]


def summarise(settings: GatherSettings, long: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``tables/summary.csv``.

    Args:
        settings: name the measures, and the split on which the best arm is chosen.
        long: ``tables/metrics.csv``.
        tests: ``tables/tests.csv``.

    Returns:
        ``mean`` and ``sd`` over seeds, the interval of the mean over images, the gain over
        pretrained with its interval, p and Holm-adjusted p; ``best`` marks the arm chosen on the
        validation split.
    """
    names = [(measure.task, measure.metric) for measure in measures_of(settings)]
    rows = long.merge(pd.DataFrame(names, columns=["task", "metric"]), on=["task", "metric"])
    grouped = rows.groupby(KEY, sort=False)
    summary = grouped.agg(
        seeds=("seed", "size"),
        mean=("value", "mean"),
        sd=("value", "std"),
        ci_low=("ci_low", "first"),
        ci_high=("ci_high", "first"),
    ).reset_index()
    summary = summary.merge(_against_pretrained(tests), on=KEY, how="left")
    tested = summary["value_low"].notna()
    for side in ("low", "high"):
        summary.loc[tested, f"ci_{side}"] = summary.loc[tested, f"value_{side}"]
    summary = summary.drop(columns=["value_low", "value_high"])
    summary["survives"] = summary["survives"].eq(True)
    summary.insert(2, "kind", summary["llm"].map(lambda name: Row.parse(name).kind))
    return _with_best(summary, settings.evaluate.validation)


def _against_pretrained(tests: pd.DataFrame) -> pd.DataFrame:
    """Return the tests of arms against the pretrained CLIP, by arm."""
    against = tests[tests["second"] == "pretrained"].copy()
    against[["llm", "loss"]] = against["first"].str.rsplit("/", n=1, expand=True)
    return against.rename(columns={"ci_low": "gain_low", "ci_high": "gain_high"})[KEY + TESTED]


def _with_best(summary: pd.DataFrame, validation: str) -> pd.DataFrame:
    """Mark the arm of the grid that tells differences best on the validation split."""
    choice = select(summary, DIFFERENCE, validation, FINETUNED)
    choice = choice[choice["kind"] == "cell"]
    if choice.empty:
        return summary.assign(best=False)
    best = choice.iloc[choice["mean"].argmax()]
    is_best = (summary["llm"] == best["llm"]) & (summary["loss"] == best["loss"])
    return summary.assign(best=is_best)


def best_arm(summary: pd.DataFrame) -> tuple[str, str] | None:
    """Return row and loss of the arm marked as best; None without one."""
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
