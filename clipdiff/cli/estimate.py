"""``clipdiff estimate``."""

from rich.console import Console
from rich.table import Table

from clipdiff.cli import options as o
from clipdiff.config import load_config


def command(config: o.ConfigFiles = o.DEFAULT_CONFIG, results: o.ResultsFolder = None) -> None:
    """Say what a run will take: jobs, tokens, money, disk, and rough hours on this machine."""
    from clipdiff.planning.estimate import estimate

    settings = load_config(*config)
    run = estimate(settings, o.layout(results, config).root)
    table = Table("stage", "jobs", "work", "tokens", "cost", "disk", "hours on this machine")
    for work in run.works:
        table.add_row(*work)
    console = Console()
    console.print(table)
    data = settings.data
    console.print(f"{data.pairs} pairs of {data.train_images} images. {run.assumptions}")
