"""What entries have in common whose model runs in this process."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clipdiff.errors import ModelError
from clipdiff.settings import Values
from clipdiff.shipped import path_of
from clipdiff.writers.base import AskedWriter, Finding, ModelName
from clipdiff.writers.local.folders import check_folder, looks_like_path
from clipdiff.writers.local.model_content import content_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class LocalModel(AskedWriter):
    """A model of ``save_pretrained``'s format in this process."""

    model: ModelName = Field(
        description="hub name, a folder that save_pretrained wrote, or demo:NAME"
    )
    revision: str | None = Field(None, description="of a hub name: its branch, tag or commit")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="`auto`: the checkpoint's own on a GPU, float32 on a CPU"
    )

    @property
    def checkpoint(self) -> str:
        """What ``from_pretrained`` takes: the hub name, or the folder."""
        return path_of(self.model)

    @property
    def folder(self) -> Path | None:
        """The model's folder; None where the hub's client keeps it."""
        return existing_folder(self.model)

    def identity(self) -> Values:
        """Return the settings, with what its files hold for the name of a local model.

        The weights behind a hub name are those that ``revision`` says.
        """
        return with_weights(super().identity(), self.folder)

    def findings(self) -> Iterator[Finding]:
        """Yield whether the model is there; hub names are fetched when they are needed."""
        yield model_finding(self.model)

    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """Load the model's tokenizer alone.

        Raises:
            ModelError: there is no such model.
        """
        from transformers import AutoTokenizer

        check_folder(self.checkpoint)
        try:
            return AutoTokenizer.from_pretrained(self.checkpoint, revision=self.revision)
        except Exception as error:  # transformers, the hub and tokenizers share no base class
            raise ModelError(f"'{self.model}': its tokenizer can't be loaded: {error}") from error


def with_weights(identity: Values, folder: Path | None) -> Values:
    """Return what determines answers, where the model in a folder is the same wherever it lies."""
    if folder is None:
        return identity
    named = {key: value for key, value in identity.items() if key not in ("model", "revision")}
    return {**named, "weights": content_of(folder)}


def existing_folder(model: str) -> Path | None:
    """Return a model's folder; None for hub names."""
    folder = Path(path_of(model))
    return folder if folder.is_dir() else None


def model_finding(model: str) -> Finding:
    """Return whether a model is where its name says."""
    if existing_folder(model):
        return True, model
    if looks_like_path(model):
        return False, f"{model}: no such folder"
    return True, f"{model}, fetched from the hub if absent"
