"""Loading language models by hub name or folder, for every kind that runs in this process."""

import logging
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from clipdiff.errors import ModelError
from clipdiff.writers.local.entry import LocalModel

log = logging.getLogger(__name__)


def load_checkpoint(auto: Any, entry: LocalModel) -> tuple[Any, PreTrainedTokenizerBase]:
    """Load a model and its tokenizer, on the GPUs if there are any (accelerate places the layers).

    Args:
        auto: the Auto class of the kind.
        entry: ``model``, ``revision`` and ``dtype``; ``auto`` is the checkpoint's own on a GPU and
            float32 on a CPU, where half precision is slow.

    Returns:
        The model (a ``PreTrainedModel`` of the Auto class), and its tokenizer.

    Raises:
        ModelError: there is no such model, or it is of another kind.
    """
    on_gpu = torch.cuda.is_available()
    dtype = entry.dtype if entry.dtype != "auto" or on_gpu else "float32"
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    tokenizer = entry.tokenizer()
    try:
        model = auto.from_pretrained(
            entry.checkpoint,
            revision=entry.revision,
            dtype=dtype,
            device_map="auto" if on_gpu else None,
        )
    except Exception as error:  # transformers, the hub and safetensors share no base class
        raise ModelError(
            f"'{entry.model}' can't be loaded as a model of kind '{entry.kind}' "
            f"({auto.__name__}): {str(error).strip() or type(error).__name__}"
        ) from error
    log.info("%s: %.1f M parameters, %s", entry.model, model.num_parameters() / 1e6, dtype)
    return model.eval(), tokenizer


def max_positions(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return how many tokens the model can look at (positions learnt, or the tokenizer's limit)."""
    limits = [
        getattr(model.config, name, None) for name in ("max_position_embeddings", "n_positions")
    ]
    return min([limit for limit in limits if limit], default=tokenizer.model_max_length)
