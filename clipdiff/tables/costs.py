"""What the run cost: Snakemake's benchmark files, summed by rule."""

from pathlib import Path

import pandas as pd


def rule_costs(folder: Path) -> pd.DataFrame:
    """Return jobs, hours of wall time and largest memory of each rule; empty without files.

    Args:
        folder: ``results/benchmarks``; its first path part names the rule.
    """
    rows = []
    for path in sorted(folder.rglob("*.tsv")):
        table = pd.read_csv(path, sep="\t", na_values="-")
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        rows.append({"rule": rule, "seconds": table["s"].sum(), "mb": table["max_rss"].max()})
    if not rows:
        return pd.DataFrame(columns=["rule", "jobs", "seconds", "mb"])
    grouped = pd.DataFrame(rows).groupby("rule", sort=False)
    costs = grouped.agg(jobs=("seconds", "size"), seconds=("seconds", "sum"), mb=("mb", "max"))
    return costs.sort_values("seconds", ascending=False).reset_index()
