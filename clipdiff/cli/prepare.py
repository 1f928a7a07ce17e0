"""``clipdiff prepare``."""

from pathlib import Path

from clipdiff.cli import options as o
from clipdiff.config.stages import PrepareSettings, prepare_settings
from clipdiff.grid import Results


def command(
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    results: o.ResultsFolder = o.DEFAULT_RESULTS,
) -> None:
    """Read (or, for the demo, draw) pictures with captions, and draw training pairs."""
    chosen = o.stage_settings(PrepareSettings, settings, config, prepare_settings)
    if chosen.data.source == "demo":
        from clipdiff.demo.table import demo_captions

        table = demo_captions(chosen.data)
    elif chosen.data.source == "coco":
        from clipdiff.data.prepare import coco_captions

        table = coco_captions(chosen.data)
    else:
        from clipdiff.data.captions import read_table

        table = read_table(Path(str(chosen.data.table)))
    from clipdiff.data.prepare import prepare

    files = Results(results)
    prepare(chosen, table, files.captions, files.pairs)
