"""What exactly is sent to an LLM about one pair."""

import json
from pathlib import Path

from transformers import AutoTokenizer

from clipdiff.config.stages import GenerateSettings
from clipdiff.errors import ConfigError, DataError
from clipdiff import prompts
from clipdiff.writers.causal import rendered
from clipdiff.writers.local.folders import check_folder
from clipdiff.llm.generate import plan
from clipdiff.prompts import MASK, as_text


def preview(settings: GenerateSettings, captions: Path, pairs: Path, row_id: int) -> str:
    """Return the prompt of one pair (or picture, to be reworded) as its model gets it.

    Raises:
        ConfigError: the kind asks nothing, or the prompt has no such task.
        DataError: an input is missing, or there is no such row.
        ModelError: the model's folder is none.
    """
    definition = settings.definition
    if definition.kind == "file":
        raise ConfigError(f"{settings.llm}: an entry of kind 'file' asks nothing")
    found = [each for each in plan(settings, captions, pairs) if each.row_id == row_id]
    if not found:
        raise DataError(f"{pairs}: has no pair {row_id}")
    turns = prompts.load(definition.prompt).turns(settings.task, *found[0].captions)
    if definition.kind == "api":
        chat = definition.endpoint == "chat"
        return json.dumps(turns, indent=2, ensure_ascii=False) if chat else as_text(turns)
    if definition.kind == "seq2seq":
        return as_text(turns)
    check_folder(definition.model)
    tokenizer = AutoTokenizer.from_pretrained(definition.model, revision=definition.revision)
    if definition.kind == "masked":  # causal and vllm use the chat template
        return as_text(turns).replace(MASK, tokenizer.mask_token)
    return rendered(tokenizer, turns)
