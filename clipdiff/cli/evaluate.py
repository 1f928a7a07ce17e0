"""``clipdiff evaluate``."""

import os

from clipdiff.cli import options as o
from clipdiff.config import Config
from clipdiff.config.stages import EvaluateSettings, evaluate_settings


def command(
    cell: o.CellText = None,
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    compute: o.ComputeJson = None,
    results: o.ResultsFolder = None,
) -> None:
    """Measure one cell on every task, split and weight setting."""

    def cut(whole: Config) -> EvaluateSettings:
        return evaluate_settings(whole, o.parse_cell(cell))

    stage = o.stage_settings(EvaluateSettings, settings, compute, config, cut)
    os.environ["OMP_NUM_THREADS"] = str(stage.evaluate.threads)
    from clipdiff.evaluate.run import evaluate

    layout = o.layout(results, config)
    evaluate(
        stage,
        captions=layout.captions,
        embeds=layout.image_embeds,
        model=None if stage.cell.is_pretrained else layout.model(stage.cell),
        metrics=layout.metrics(stage.cell),
        items=layout.items(stage.cell),
        layout=layout,
    )
