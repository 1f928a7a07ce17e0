"""``clipdiff generate``."""

from typing import Annotated

import typer

from clipdiff.cli import options as o
from clipdiff.config import Config
from clipdiff.config.stages import GenerateSettings, generate_settings
from clipdiff.grid import Results

PartText = Annotated[
    str | None,
    typer.Option("--part", help="Answer one job's share only, such as 3of8 (generate.jobs)."),
]


def command(
    llm: o.LLMName = None,
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    results: o.ResultsFolder = o.DEFAULT_RESULTS,
    part: PartText = None,
    questions: o.QuestionsFlag = False,
) -> None:
    """Let one LLM write how the pictures of each pair differ, from their captions."""

    def cut(whole: Config) -> GenerateSettings:
        return generate_settings(whole, o.chosen_llm(llm, whole))

    chosen = o.stage_settings(GenerateSettings, settings, config, cut)
    files = Results(results)
    if questions:
        from clipdiff.llm.questions import answer_questions

        answer_questions(chosen, files.questions, files.answers(chosen.llm))
        return
    from clipdiff.llm.generate import Part, generate, generate_part

    where = (files.captions, files.pairs, files.generations(chosen.llm))
    if part is None:
        generate(chosen, *where)
    else:
        generate_part(chosen, *where, Part.parse(part))
