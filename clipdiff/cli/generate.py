"""``clipdiff generate``."""

from typing import Annotated

import typer

from clipdiff.cli import options as o
from clipdiff.config import Config
from clipdiff.config.stages import GenerateSettings, generate_settings

PartText = Annotated[
    str | None,
    typer.Option("--part", help="Answer one job's share only, such as 3of8 (generate.jobs)."),
]


def command(
    llm: o.RowName = None,
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    compute: o.ComputeJson = None,
    results: o.ResultsFolder = None,
    part: PartText = None,
    questions: o.QuestionsFlag = False,
) -> None:
    """Let one LLM write how the images of each pair differ, from their captions."""

    def cut(whole: Config) -> GenerateSettings:
        return generate_settings(whole, o.parse_row(llm, whole))

    stage = o.stage_settings(GenerateSettings, settings, compute, config, cut)
    layout = o.layout(results, config)
    if questions:
        from clipdiff.llm.evaluation_answers import answer_questions

        answer_questions(stage, layout.questions, layout.answers(stage.llm))
        return
    from clipdiff.llm.generate import Part, generate, generate_part

    paths = (layout.captions, layout.pairs, layout.generations(stage.llm))
    if part is None:
        generate(stage, *paths)
    else:
        generate_part(stage, *paths, Part.parse(part))
