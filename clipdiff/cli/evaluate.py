"""``clipdiff evaluate``."""

import os

from clipdiff.cli import options as o
from clipdiff.config import Config
from clipdiff.config.stages import EvaluateSettings, evaluate_settings
from clipdiff.grid import Results, Variant


def command(
    variant: o.VariantText = None,
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    results: o.ResultsFolder = o.DEFAULT_RESULTS,
) -> None:
    """Measure one cell on every task, split and weight setting."""

    def cut(whole: Config) -> EvaluateSettings:
        return evaluate_settings(whole, o.chosen_variant(variant))

    chosen = o.stage_settings(EvaluateSettings, settings, config, cut)
    os.environ["OMP_NUM_THREADS"] = str(chosen.evaluate.threads)
    from clipdiff.evaluate.run import evaluate

    files, cell = Results(results), Variant(chosen.llm, chosen.loss_name, chosen.seed)
    evaluate(
        chosen,
        captions=files.captions,
        embeds=files.image_embeds,
        model=None if cell.is_pretrained else files.model(cell),
        metrics=files.metrics(cell),
        items=files.items(cell),
        texts=files.evaluation_texts,
    )
