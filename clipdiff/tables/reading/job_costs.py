"""What the run cost: Snakemake's benchmark files, summed by rule and by LLM."""

import re
from pathlib import Path

import pandas as pd

COLUMNS = ["rule", "llm", "seconds", "gpu_seconds", "mb"]
# in the column `resources` of benchmark-extended: what SLURM was asked for
GPUS = re.compile(r"gpu(?::[A-Za-z]\w*)?:(\d+)|\bgpus?\W+(\d+)")


def job_costs(folder: Path) -> pd.DataFrame:
    """Return rule, LLM, wall seconds, GPU seconds and largest memory (MB) of each job.

    Args:
        folder: ``results/benchmarks``; a file lies at ``{rule}.tsv``, ``{rule}/{llm}.tsv`` or
            ``{rule}/{llm}/{loss}/seed{seed}.tsv``.
    """
    rows = []
    for path in sorted(folder.rglob("*.tsv")):
        table = pd.read_csv(path, sep="\t", na_values="-")
        rule, *cell = path.relative_to(folder).with_suffix("").parts
        llm = re.sub(r"\.\d+of\d+$", "", cell[0]) if cell else ""
        seconds = table["s"].sum()
        gpus = asked_gpus(str(table["resources"].iloc[-1])) if "resources" in table else 0
        rows.append([rule, llm, seconds, seconds * gpus, table["max_rss"].max()])
    return pd.DataFrame(rows, columns=COLUMNS)


def summed(jobs: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return the costs by ``rule`` or ``llm``, largest first; jobs of no LLM are left out then."""
    grouped = jobs[jobs[by] != ""].groupby(by, sort=False)
    costs = grouped.agg(
        jobs=("seconds", "size"),
        seconds=("seconds", "sum"),
        gpu_seconds=("gpu_seconds", "sum"),
        mb=("mb", "max"),
    )
    return costs.sort_values("seconds", ascending=False).reset_index(names="name")


def generation_seconds(jobs: pd.DataFrame) -> dict[str, float]:
    """Return the wall seconds in which each LLM's answers were generated, all its jobs together."""
    asked = jobs[jobs["rule"].isin(["generate", "generate_part"])]
    sums = asked.groupby("llm")["seconds"].sum()
    return {str(llm): float(seconds) for llm, seconds in sums.items()}


def asked_gpus(resources: str) -> int:
    """Return how many GPUs a job's resources name, as ``gres="gpu:h100:2"`` or ``gpu=2``."""
    match = GPUS.search(resources)
    return int(match[1] or match[2]) if match else 0
