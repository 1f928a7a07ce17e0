"""``clipdiff filter``."""

from clipdiff.cli import options as o
from clipdiff.config import Config
from clipdiff.config.stages import FilterSettings, filter_settings
from clipdiff.grid import Results


def command(
    llm: o.LLMName = None,
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    results: o.ResultsFolder = o.DEFAULT_RESULTS,
    questions: o.QuestionsFlag = False,
) -> None:
    """Clean one LLM's answers; every dropped row keeps its reason. Also makes the control rows."""

    def cut(whole: Config) -> FilterSettings:
        return filter_settings(whole, o.chosen_llm(llm, whole))

    chosen = o.stage_settings(FilterSettings, settings, config, cut)
    files, llm = Results(results), chosen.llm
    if questions:
        from clipdiff.llm.questions import judge_answers

        judge_answers(chosen, files.questions, files.answers(llm), files.evaluation_texts / llm)
        return
    from clipdiff.llm.filter import filter_differences

    source = files.generations(chosen.answers) if chosen.answers else None
    if llm.startswith("shuffled-"):
        source = files.differences(llm.removeprefix("shuffled-"))
    filter_differences(chosen, files.captions, files.pairs, source, files.differences(llm))
