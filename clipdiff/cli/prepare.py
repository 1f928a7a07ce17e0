"""``clipdiff prepare``."""

from clipdiff.cli import options as o
from clipdiff.config.stages import PrepareSettings, prepare_settings
from clipdiff.grid import Layout


def command(
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    compute: o.ComputeJson = None,
    results: o.ResultsFolder = o.DEFAULT_RESULTS,
) -> None:
    """Read (or, for the demo, draw) images with captions, and draw training pairs."""
    stage = o.stage_settings(PrepareSettings, settings, compute, config, prepare_settings)
    from clipdiff.data.prepare import prepare

    layout = Layout(results)
    prepare(stage, layout.captions, layout.pairs)
