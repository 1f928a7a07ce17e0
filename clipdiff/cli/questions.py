"""``clipdiff questions``."""

from clipdiff.cli import options as o
from clipdiff.config.stages import QuestionsSettings, questions_settings


def command(
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    compute: o.ComputeJson = None,
    results: o.ResultsFolder = None,
) -> None:
    """Choose what the evaluation asks LLMs: about classes, and about held-out images."""
    stage = o.stage_settings(QuestionsSettings, settings, compute, config, questions_settings)
    from clipdiff.evaluate.questions import write_questions

    layout = o.layout(results, config)
    write_questions(stage, layout.captions, layout.image_embeds, layout.questions)
