"""What exactly is sent to an LLM about one pair."""

from pathlib import Path

from clipdiff import prompts
from clipdiff.config.stages import GenerateSettings
from clipdiff.errors import ConfigError, DataError
from clipdiff.llm.generate import plan


def preview(settings: GenerateSettings, captions: Path, pairs: Path, row_id: int) -> str:
    """Return the prompt of one pair (or image, to be reworded) as its model gets it.

    Raises:
        ConfigError: the kind asks nothing, or the prompt has no such task.
        DataError: an input is missing, or there is no such row.
        ModelError: the model's folder holds no model.
    """
    entry = settings.definition
    if entry.prompt_name is None:
        raise ConfigError(f"{settings.llm}: an entry of kind '{entry.kind}' asks nothing")
    prompt = prompts.load(entry.prompt_name)
    for question in plan(settings, prompt, captions, pairs):
        if question.row_id == row_id:
            return entry.preview(prompt.turns(settings.task, *question.captions))
    raise DataError(f"{pairs}: has no pair {row_id}")
