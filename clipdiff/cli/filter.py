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
) -> None:
    """Clean one LLM's answers; every dropped row keeps its reason. Also makes the control rows."""

    def cut(whole: Config) -> FilterSettings:
        return filter_settings(whole, o.chosen_llm(llm, whole))

    chosen = o.stage_settings(FilterSettings, settings, config, cut)
    from clipdiff.llm.filter import filter_differences

    files = Results(results)
    if chosen.llm == "captions":
        source = None
    elif chosen.llm.startswith("shuffled-"):
        source = files.differences(chosen.llm.removeprefix("shuffled-"))
    else:
        source = files.generations(chosen.llm)
    filter_differences(chosen, files.captions, files.pairs, source, files.differences(chosen.llm))
