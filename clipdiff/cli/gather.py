"""``clipdiff gather``."""

from clipdiff.cli import options as o
from clipdiff.config.stages import GatherSettings, gather_settings
from clipdiff.grid import Results


def command(
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    results: o.ResultsFolder = o.DEFAULT_RESULTS,
) -> None:
    """Gather all cells into tables, figures and the report."""
    chosen = o.stage_settings(GatherSettings, settings, config, gather_settings)
    from clipdiff.tables.gather import gather

    gather(chosen, Results(results).root)
