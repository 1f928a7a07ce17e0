"""``clipdiff filter``."""

from clipdiff.cli import options as o
from clipdiff.config import Config
from clipdiff.config.stages import FilterSettings, filter_settings
from clipdiff.grid import Control, Row


def command(
    llm: o.RowName = None,
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    compute: o.ComputeJson = None,
    results: o.ResultsFolder = None,
    questions: o.QuestionsFlag = False,
) -> None:
    """Clean one LLM's answers; every dropped row keeps its reason. Also makes the control rows."""

    def cut(whole: Config) -> FilterSettings:
        return filter_settings(whole, o.parse_row(llm, whole))

    stage = o.stage_settings(FilterSettings, settings, compute, config, cut)
    layout, row = o.layout(results, config), Row.parse(stage.llm)
    if questions:
        from clipdiff.llm.evaluation_answers import filter_answers

        texts = layout.evaluation_texts / str(row)
        filter_answers(stage, layout.questions, layout.answers(row), texts)
        return
    from clipdiff.llm.filter import filter_differences

    source = layout.generations(stage.answers) if stage.answers else None
    if row.control == Control.SHUFFLED:
        source = layout.differences(row.llm)
    filter_differences(stage, layout.captions, layout.pairs, source, layout.differences(row))
