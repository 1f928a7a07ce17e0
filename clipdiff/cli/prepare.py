"""``clipdiff prepare``."""

from clipdiff.cli import options as o
from clipdiff.config.stages import PrepareSettings, prepare_settings


def command(
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    compute: o.ComputeJson = None,
    results: o.ResultsFolder = None,
) -> None:
    """Read (or, for the demo, draw) images with captions, and draw training pairs."""
    stage = o.stage_settings(PrepareSettings, settings, compute, config, prepare_settings)
    from clipdiff.data.prepare import prepare

    layout = o.layout(results, config)
    prepare(stage, layout.captions, layout.pairs)
