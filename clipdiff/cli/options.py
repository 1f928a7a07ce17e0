"""What all verbs share: their options, how settings are read, and logging."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError

from clipdiff.config import Config, load_config
from clipdiff.settings import Section
from clipdiff.errors import ConfigError
from clipdiff.grid import Variant

ConfigFiles = Annotated[
    list[Path],
    typer.Option("--config", help="Configuration; give it again to merge presets over it."),
]
SettingsJson = Annotated[
    str | None,
    typer.Option("--settings", help="This stage's settings as JSON, as the workflow passes them."),
]
ResultsFolder = Annotated[Path, typer.Option("--results", help="Folder of all results.")]
VariantText = Annotated[
    str | None,
    typer.Option("--variant", help="One cell: llm=bert,loss=hinge,seed=0, or llm=pretrained."),
]
LLMName = Annotated[
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
DEFAULT_RESULTS = Path("results")

AnySettings = TypeVar("AnySettings", bound=Section)


def stage_settings(
    kind: type[AnySettings],
    text: str | None,
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
    for noisy in ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "matplotlib", "DeepSpeed"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if text is None:
        return cut(load_config(*config))
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(f"--settings: {error}") from error


def chosen_variant(text: str | None) -> Variant:
    """Parse ``--variant``.

    Raises:
        ConfigError: it is missing or malformed.
    """
    if text is None:
        raise ConfigError("--variant: missing; expected llm=NAME,loss=NAME,seed=NUMBER")
    return Variant.parse(text)


def chosen_llm(name: str | None, config: Config) -> str:
    """Check ``--llm``.

    Raises:
        ConfigError: it is missing, or no entry and no control row.
    """
    known = list(config.llm_definitions)
    stem = (name or "").removeprefix("rewritten-").removeprefix("shuffled-")
    if name is None or (stem not in known and name != "captions"):
        raise ConfigError(
            f"--llm: got '{name}', allowed: {', '.join(known)}, captions, rewritten-X, shuffled-X"
        )
    return name
