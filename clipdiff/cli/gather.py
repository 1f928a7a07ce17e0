"""``clipdiff gather``."""

from clipdiff.cli import options as o
from clipdiff.config.stages import GatherSettings, gather_settings


def command(
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    compute: o.ComputeJson = None,
    results: o.ResultsFolder = None,
) -> None:
    """Gather all cells into tables, figures and the report."""
    own = o.stage_settings(GatherSettings, settings, compute, config, gather_settings)
    from clipdiff.tables.gather import gather

    gather(own, o.layout(results, config))
