"""``clipdiff generate``."""

from clipdiff.cli import options as o
from clipdiff.config import Config
from clipdiff.config.stages import GenerateSettings, generate_settings
from clipdiff.grid import Results


def command(
    llm: o.LLMName = None,
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    results: o.ResultsFolder = o.DEFAULT_RESULTS,
) -> None:
    """Let one LLM write how the pictures of each pair differ, from their captions."""

    def cut(whole: Config) -> GenerateSettings:
        return generate_settings(whole, o.chosen_llm(llm, whole))

    chosen = o.stage_settings(GenerateSettings, settings, config, cut)
    from clipdiff.llm.generate import generate

    files = Results(results)
    generate(chosen, files.captions, files.pairs, files.generations(chosen.llm))
