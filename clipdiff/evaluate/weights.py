"""The weight settings of a cell: finetuned, pretrained, and averages of the two (WiSE-FT)."""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from clipdiff.errors import ModelError
from clipdiff.files import read_tensors
from clipdiff.towers.average import average_weights

State = dict[str, Tensor]


def weight_name(alpha: float) -> str:
    """Return the name of a weight setting: alpha is the share of the finetuned weights."""
    names = {0.0: "pretrained", 1.0: "finetuned"}
    return names.get(alpha, f"averaged-{alpha:.2f}")


def weight_settings(
    pretrained: State, model: Path | None, alphas: list[float]
) -> Iterator[tuple[str, State]]:
    """Yield the name and the weights of each setting; ``pretrained`` alone without a model.

    Args:
        pretrained: state of the CLIP before finetuning.
        model: exported open_clip folder of a cell, or None.
        alphas: shares of the finetuned weights, 0 to 1.

    Raises:
        ModelError: the folder holds no finetuned version of this CLIP.
    """
    if model is None:
        yield "pretrained", pretrained
        return
    finetuned = read_finetuned(pretrained, model)
    for alpha in alphas:
        yield weight_name(alpha), average_weights(pretrained, finetuned, alpha)


def read_finetuned(pretrained: State, model: Path) -> State:
    """Read the weights of an exported folder and check that they fit the CLIP of the config.

    Raises:
        ModelError: there is no such model, or its tensors differ in name or shape.
        DataError: the weights file is truncated.
    """
    path = model / "open_clip_model.safetensors"
    if not path.is_file():
        raise ModelError(
            f"{model}: no exported model (it lacks {path.name}); train this cell first, or "
            "correct the path"
        )
    finetuned = read_tensors(path)
    odd = sorted(set(finetuned) ^ set(pretrained)) or sorted(
        name for name in pretrained if finetuned[name].shape != pretrained[name].shape
    )
    if odd:
        raise ModelError(
            f"{model}: not a finetuned version of the configured clip.model: "
            f"{len(odd)} tensors differ, first '{odd[0]}'; train this cell again"
        )
    return {name: value.to(pretrained[name].dtype) for name, value in finetuned.items()}
