"""``clipdiff check``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from clipdiff.cli import options as o
from clipdiff.config import load_config
from clipdiff.config.entries import all_cells

ProfileFolder = Annotated[
    Path | None,
    typer.Option("--cluster", help="Look at SLURM too, with this profile: profiles/slurm."),
]


def command(
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    results: o.ResultsFolder = None,
    cluster: ProfileFolder = None,
) -> None:
    """Validate the configuration and this machine, or a cluster, before anything runs."""
    from clipdiff.planning.cluster import cluster_findings
    from clipdiff.planning.findings import data_findings, machine_findings, model_findings

    grid, folder = load_config(*config), o.layout(results, config).root
    console = Console(soft_wrap=True)
    console.print(
        f"grid: {len(grid.llms)} LLMs x {len(grid.losses)} losses x {len(grid.seeds)} seeds, "
        f"{len(all_cells(grid))} cells with controls and pretrained"
    )
    findings = [*model_findings(grid), *data_findings(grid), *machine_findings(grid, folder)]
    if cluster is not None:
        findings += cluster_findings(cluster, folder)
    for fine, text in findings:
        console.print("[green]ok[/]      " if fine else "[red]missing[/] ", end="")
        console.print(text, markup=False)
    if not all(fine for fine, _ in findings):
        raise typer.Exit(1)
