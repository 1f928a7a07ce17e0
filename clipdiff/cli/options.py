"""What all verbs share: their options, how settings are read, and logging."""

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from clipdiff.config import Config, load_config
from clipdiff.config.stages import StageSettings
from clipdiff.errors import ConfigError, did_you_mean
from clipdiff.grid import Cell, Control, Layout, Row

ConfigFiles = Annotated[
    list[Path],
    typer.Option("--config", help="Configuration; give it again to merge presets over it."),
]
SettingsJson = Annotated[
    str | None,
    typer.Option("--settings", help="What decides this stage's numbers, as the workflow says it."),
]
ComputeJson = Annotated[
    str | None,
    typer.Option(
        "--compute", envvar="CLIPDIFF_COMPUTE", help="How they are computed, as the workflow says."
    ),
]
ResultsFolder = Annotated[
    Path | None,
    typer.Option(
        "--results",
        envvar="CLIPDIFF_RESULTS",
        help="Folder of all results; else what the configuration says.",
    ),
]
CellText = Annotated[
    str | None,
    typer.Option("--cell", "--variant", help="One cell: bert/hinge/seed0, or pretrained."),
]
RowName = Annotated[
    str | None,
    typer.Option(
        "--llm", help="An entry of llm_definitions, or captions, rewritten-X, shuffled-X."
    ),
]
QuestionsFlag = Annotated[
    bool,
    typer.Option("--questions", help="What the evaluation asks, not the training pairs."),
]
DEFAULT_CONFIG = [Path("config.yaml")]
NOISY = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "matplotlib", "DeepSpeed")

AnySettings = TypeVar("AnySettings", bound=StageSettings)


def stage_settings(
    kind: type[AnySettings],
    settings: str | None,
    compute: str | None,
    config: list[Path],
    cut: Callable[[Config], AnySettings],
) -> AnySettings:
    """Return a stage's settings: from JSON, or cut from the configuration files.

    Raises:
        ConfigError: the JSON or the configuration is wrong.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    if settings is None:
        return cut(load_config(*config))
    try:
        stage = kind.model_validate_json(settings)
        return stage.with_compute(json.loads(compute)) if compute else stage
    except ValueError as error:  # pydantic's and json's derive from it
        raise ConfigError(f"--settings, --compute: {error}") from error


def layout(results: Path | None, config: list[Path] = DEFAULT_CONFIG) -> Layout:
    """Return where results lie: as ``--results`` says, else the configuration, if there is one.

    Raises:
        ConfigError: the configuration is wrong.
    """
    if results is not None:
        return Layout(results)
    if config == DEFAULT_CONFIG and not config[0].is_file():
        return Layout(Path("results"))
    return Layout(Path(load_config(*config).results))


def compute_json(compute: str | None, settings: str | None, config: list[Path]) -> str:
    """Return how numbers are computed, for a process that this one starts with ``--settings``."""
    if settings is not None:
        return compute or "{}"
    return json.dumps(load_config(*config).compute())


def parse_cell(text: str | None) -> Cell:
    """Parse ``--cell``.

    Raises:
        ConfigError: it is missing or malformed.
    """
    if text is None:
        raise ConfigError("--cell: missing; expected ROW/LOSS/seedNUMBER, such as bert/hinge/seed0")
    try:
        return Cell.parse(text)
    except ConfigError as error:
        raise ConfigError(f"--cell: {error}") from error


def parse_row(name: str | None, config: Config) -> Row:
    """Parse ``--llm``.

    Raises:
        ConfigError: it is missing, or neither an entry nor a control.
    """
    entries = list(config.llm_definitions)
    row = Row.parse(name or "")
    if name is None or row.llm not in (entries if row.control != Control.CAPTIONS else [""]):
        raise ConfigError(
            f"--llm: got '{name}', allowed: {', '.join(entries)}, captions, rewritten-X, "
            f"shuffled-X{did_you_mean(row.llm, entries)}"
        )
    return row
