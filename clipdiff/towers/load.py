"""Loading an open_clip model with its preprocessing and tokenizer, frozen and ready to encode."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import open_clip
import torch
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL.Image import Image
from torch import Tensor

from clipdiff.errors import ModelError, did_you_mean
from clipdiff.grid.layout import CLIP_CONFIG as CONFIG
from clipdiff.grid.layout import WEIGHTS
from clipdiff.settings import Clip
from clipdiff.towers.text import TextTower

LOCAL_DIR, HF_HUB = "local-dir:", "hf-hub:"

Tokenizer = Callable[[Sequence[str]], Tensor]  # T texts -> ids (T, context_length) int64


@dataclass(frozen=True)
class LoadedClip:
    """An open_clip model in eval mode, frozen, with all that encodes with it."""

    name: str  # as open_clip understands it
    model: CLIP | CustomTextCLIP
    preprocess: Callable[[Image], Tensor]  # image -> (3, H, W) float32
    tokenizer: Tokenizer
    context_length: int

    @cached_property
    def text_tower(self) -> TextTower:
        """The text side; it shares its parameters with ``model``."""
        return TextTower(self.model)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Return token ids (T, context_length) int64 on the CPU; longer texts are cut."""
        if not len(texts):
            return torch.empty(0, self.context_length, dtype=torch.int64)
        return self.tokenizer(list(texts))


def load_clip(clip: Clip, device: torch.device | str | None = None) -> LoadedClip:
    """Load a CLIP with its weights, in fp32.

    Args:
        clip: an open_clip architecture and its tag, ``local-dir:FOLDER``, ``hf-hub:ORG/NAME`` or
            a shipped ``demo:NAME``.
        device: where to put it; the GPU if there is one, else the CPU.

    Raises:
        ModelError: there is no such model, the folder holds none, or its weights do not fit.
        ConfigError: no such model is shipped.
    """
    name = clip.open_clip_name
    if name.startswith(LOCAL_DIR):
        _check_folder(Path(name.removeprefix(LOCAL_DIR)))
    elif not name.startswith(HF_HUB):
        _check_name(clip)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with without_commentary():
            model = open_clip.create_model(
                name, clip.pretrained, device=device, require_pretrained=True
            )
            tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:  # open_clip, the hub and safetensors share no base class
        raise ModelError(
            f"clip.model '{clip.model}' (pretrained: {clip.pretrained}) can't be loaded: {error}"
        ) from error
    if not isinstance(model, CLIP | CustomTextCLIP):
        raise ModelError(
            f"clip.model '{clip.model}' is a {type(model).__name__}; expected a CLIP with one "
            "image and one text tower"
        )
    model.eval().requires_grad_(False)
    preprocess = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    return LoadedClip(name, model, preprocess, tokenizer, model.context_length)


def load_tokenizer(clip: Clip) -> Tokenizer:
    """Load the tokenizer of a CLIP alone, without its weights.

    Raises:
        ModelError: there is no such model, or it has no tokenizer.
        ConfigError: no such model is shipped.
    """
    try:
        with without_commentary():
            return open_clip.get_tokenizer(clip.open_clip_name)
    except Exception as error:  # open_clip and the hub share no base class
        raise ModelError(f"clip.model '{clip.model}': no tokenizer: {error}") from error


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder; correct clip.model")
    if not (folder / CONFIG).is_file():
        raise ModelError(f"{folder}: not an open_clip folder, it lacks {CONFIG}")
    weights = [path for kind in ("safetensors", "bin", "pth") for path in folder.glob(f"*.{kind}")]
    if not weights:
        raise ModelError(f"{folder}: an open_clip folder without weights, it lacks {WEIGHTS}")


def _check_name(clip: Clip) -> None:
    models = open_clip.list_models()
    if clip.model.replace("/", "-") not in models:
        raise ModelError(
            f"clip.model: got '{clip.model}'{did_you_mean(clip.model, models)}; expected an "
            f"open_clip architecture, {LOCAL_DIR}FOLDER or {HF_HUB}ORG/NAME"
        )
    if clip.pretrained is None:
        tags = open_clip.list_pretrained_tags_by_model(clip.model)
        raise ModelError(
            f"clip.pretrained: missing, and {clip.model} has no weights without it; "
            f"allowed: {', '.join(tags)}"
        )


@contextmanager
def without_commentary() -> Iterator[None]:
    """Keep open_clip's running commentary out of the log.

    It goes to the root logger itself, whose filter no record of another logger passes.
    """

    def matters(record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO

    logging.root.addFilter(matters)
    try:
        yield
    finally:
        logging.root.removeFilter(matters)
