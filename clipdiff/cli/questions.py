"""``clipdiff questions``."""

from clipdiff.cli import options as o
from clipdiff.config.stages import QuestionsSettings, questions_settings
from clipdiff.grid import Results


def command(
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    results: o.ResultsFolder = o.DEFAULT_RESULTS,
) -> None:
    """Choose what the evaluation asks LLMs: about classes, and about held-out pictures."""
    chosen = o.stage_settings(QuestionsSettings, settings, config, questions_settings)
    from clipdiff.evaluate.questions import write_questions

    files = Results(results)
    write_questions(chosen, files.captions, files.image_embeds, files.questions)
