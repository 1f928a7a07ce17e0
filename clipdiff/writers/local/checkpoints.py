"""Loading language models by hub name or folder, for every kind that runs in this process."""

import logging
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from clipdiff.settings import LLM
from clipdiff.errors import ModelError
from clipdiff.writers.local.folders import check_folder

log = logging.getLogger(__name__)


def load_checkpoint(auto: Any, definition: LLM) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model and its tokenizer, on the GPUs if there are any (accelerate places the layers).

    Args:
        auto: the Auto class of the kind.
        definition: ``model``, ``revision`` and ``dtype``; ``auto`` is the checkpoint's own on a
            GPU and float32 on a CPU, where half precision is slow.

    Raises:
        ModelError: there is no such model, or it is of another kind.
    """
    on_gpu = torch.cuda.is_available()
    dtype = definition.dtype if definition.dtype != "auto" or on_gpu else "float32"
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    check_folder(definition.model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(definition.model, revision=definition.revision)
        model = auto.from_pretrained(
            definition.model,
            revision=definition.revision,
            dtype=dtype,
            device_map="auto" if on_gpu else None,
        )
    except Exception as error:  # transformers, the hub and safetensors share no base class
        raise ModelError(
            f"'{definition.model}' can't be loaded as a model of kind '{definition.kind}' "
            f"({auto.__name__}): {str(error).strip() or type(error).__name__}"
        ) from error
    log.info("%s: %.1f M parameters, %s", definition.model, model.num_parameters() / 1e6, dtype)
    return model.eval(), tokenizer


def max_positions(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return how many tokens the model can look at (positions learnt, or the tokenizer's limit)."""
    config = model.config
    known = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions")]
    return min([limit for limit in known if limit], default=tokenizer.model_max_length)
