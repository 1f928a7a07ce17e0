"""A CLIP of a run, or any other, that encodes images and texts and ranks images by a text."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import open_clip
import torch
from pydantic import ValidationError
from torch import Tensor

from clipdiff.api.decode import AnyImage, listed_texts, open_images
from clipdiff.api.results import Results, folder_of
from clipdiff.errors import ConfigError, DataError, ModelError, did_you_mean
from clipdiff.evaluate.weights import read_finetuned
from clipdiff.files import read_json
from clipdiff.grid import PRETRAINED, Cell, Control, Layout
from clipdiff.grid.layout import CLIP_CONFIG, PROVENANCE, WEIGHTS
from clipdiff.settings import Clip, Values
from clipdiff.towers.average import average_weights
from clipdiff.towers.encode import encode_texts
from clipdiff.towers.images import embed_pixels
from clipdiff.towers.load import HF_HUB, LOCAL_DIR, LoadedClip, load_clip

AVERAGED = "averaged-"
BATCH = 64
ACCEPTED = (
    "expected a cell (bert/hinge/seed0, or pretrained), a folder with an open_clip model, "
    f"demo:clip, {LOCAL_DIR}FOLDER, {HF_HUB}ORG/NAME, or an architecture of open_clip"
)


class Ranking(NamedTuple):
    """Images by score, the largest first."""

    order: Tensor
    """(n,) int64: places among the images that were given."""
    scores: Tensor
    """(n,) float32, in this order."""


@dataclass(frozen=True)
class Model:
    """A CLIP in eval mode, frozen.

    Embeddings are float32, L2-normalised, on the CPU.
    """

    name: str
    clip: LoadedClip

    def encode_images(self, images: AnyImage | Iterable[AnyImage], batch: int = BATCH) -> Tensor:
        """Encode images.

        Args:
            images: n paths, PIL images or bytes of image files; or one.
            batch: images decoded and encoded at once; changes numbers by rounding only.

        Returns:
            image_embeds (n, D).

        Raises:
            ConfigError: batch is below 1.
            DataError: an image is missing or unreadable; names its place.
        """
        if not isinstance(batch, int) or batch < 1:
            raise ConfigError(f"batch: got {batch!r}; expected a whole number of at least 1")
        each, parts = map(self.clip.preprocess, open_images(images)), []
        while some := list(islice(each, batch)):
            parts.append(embed_pixels(self.clip, torch.stack(some)))
        return torch.cat(parts) if parts else self.encode_texts([])

    def encode_texts(self, texts: str | Iterable[str]) -> Tensor:
        """Encode texts; those longer than the context are cut.

        Args:
            texts: T texts, or one.

        Returns:
            text_embeds (T, D).

        Raises:
            DataError: one is no text; names its place.
        """
        return encode_texts(self.clip, listed_texts(texts)).clone()  # for layers on top that train

    def rank(self, images: Iterable[AnyImage], text: str) -> Ranking:
        """Order images by how well a text describes them compared with the others.

        The score is <text_embed, image_embed>. Scores of two images differ by what ``compare``
        gives of the pair, so the text is read as the way in which an image differs from the rest.

        Args:
            images: n paths, PIL images or bytes of image files.
            text: says how the first images differ, such as ``The first image shows more cats.``

        Raises:
            DataError: an image is missing or unreadable (names its place), or the text is none.
        """
        scores = self.encode_images(images) @ self._encode_text(text)
        scores, order = scores.sort(descending=True, stable=True)
        return Ranking(order, scores)

    def compare(self, first: AnyImage, second: AnyImage, text: str) -> float:
        """Return how well a text says how the first image differs from the second.

        Args:
            first, second: a path, a PIL image or the bytes of an image file each.
            text: such as ``The first image shows more cats.``

        Returns:
            <text_embed, image_embed_1 - image_embed_2>: above 0 where the model takes the text for
            true of the pair in this order, below 0 where it does of the other order.

        Raises:
            DataError: an image is missing or unreadable, or the text is none.
        """
        embed_1, embed_2 = self.encode_images([first, second])
        return float(self._encode_text(text) @ (embed_1 - embed_2))

    def _encode_text(self, text: str) -> Tensor:
        if not isinstance(text, str):
            raise DataError(f"text: got {type(text).__name__}; expected one str")
        return self.encode_texts(text)[0]


def load_model(
    cell_or_folder: Cell | Path | str,
    results: Results | Path | str = "results",
    weights: str = "finetuned",
    *,
    pretrained: str | None = None,
    device: torch.device | str | None = None,
) -> Model:
    """Load a CLIP.

    Args:
        cell_or_folder: a cell or its name (``bert/hinge/seed0``, ``pretrained``), a folder with an
            open_clip model, ``demo:clip``, or an architecture of open_clip; also
            ``local-dir:FOLDER`` and ``hf-hub:ORG/NAME``.
        results: where the cell lies.
        weights: of a finetuned model: ``finetuned``; ``pretrained``: as they were before; or
            ``averaged-0.50``: so much of the finetuned ones, the rest pretrained (WiSE-FT).
        pretrained: open_clip's tag of the weights, for an architecture only.
        device: where to put it; the GPU if there is one, else the CPU.

    Raises:
        ConfigError: the weights or the name are none of these.
        DataError, ModelError: there is no such model, or it can't be loaded.
    """
    share, target = _share(weights), _target(cell_or_folder)
    if isinstance(target, str):
        if share not in (0, 1):
            raise ConfigError(f"weights: got '{weights}', but {target} is not finetuned here")
        return Model(target, load_clip(_named_clip(target, pretrained), device))
    if pretrained is not None:
        raise ConfigError(f"pretrained: has no effect on {target}; remove it")
    if isinstance(target, Path):
        return _finetuned(target, str(target), share, device)
    layout = results.layout if isinstance(results, Results) else Layout(folder_of(results))
    if target.is_pretrained:
        if share not in (0, 1):
            raise ConfigError(f"weights: got '{weights}', but {target} is not finetuned")
        return Model(str(target), load_clip(_evaluated_clip(layout), device))
    if not layout.weights(target).is_file():
        raise _no_model(target, layout)
    return _finetuned(layout.model(target), str(target), share, device)


def _share(weights: str) -> float:
    """Return the share of the finetuned weights that a name stands for."""
    shares, weights = {"finetuned": 1.0, "pretrained": 0.0}, str(weights)
    try:
        share = shares[weights] if weights in shares else float(weights.removeprefix(AVERAGED))
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1 or (weights not in shares and not weights.startswith(AVERAGED)):
        raise ConfigError(
            f"weights: got '{weights}'; allowed: finetuned, pretrained, or {AVERAGED} and a share "
            f"from 0 to 1, such as {AVERAGED}0.50"
        )
    return share


def _target(name: Cell | Path | str) -> Cell | Path | str:
    """Return the cell, the folder or open_clip's name of a model that an argument stands for."""
    if isinstance(name, Cell | Path):
        return name
    if not isinstance(name, str) or not name:
        raise ConfigError(f"load_model: got {name!r}; {ACCEPTED}")
    if Path(name).is_dir():
        return Path(name)
    architectures = open_clip.list_models()
    if ":" in name or name.replace("/", "-") in architectures:
        return name
    if "=" in name or name.count("/") == 2 or name == Control.PRETRAINED:
        with suppress(ConfigError):
            return Cell.parse(name)
    raise ConfigError(
        f"load_model: got '{name}'{did_you_mean(name, architectures)}, which is neither a cell nor "
        f"a folder nor an architecture; {ACCEPTED}"
    )


def _finetuned(folder: Path, name: str, share: float, device: torch.device | str | None) -> Model:
    """Load a folder's model, or its average with the CLIP that it was finetuned from."""
    if share == 1:
        return Model(name, load_clip(_clip(f"{LOCAL_DIR}{folder}"), device))
    path = folder / PROVENANCE
    if not path.is_file():
        raise ModelError(
            f"{folder}: it lacks {PROVENANCE}, which says what it was finetuned from; only its own "
            "weights can be loaded: weights='finetuned'"
        )
    clip = load_clip(_clip_of(read_json(path), path), device)
    state = clip.model.state_dict()
    if share > 0:
        clip.model.load_state_dict(average_weights(state, read_finetuned(state, folder), share))
    return Model(name, clip)


def _clip(model: str, pretrained: str | None = None) -> Clip:
    return Clip.model_validate({"model": model, "pretrained": pretrained})


def _named_clip(model: str, pretrained: str | None) -> Clip:
    try:
        return _clip(model, pretrained)
    except ValidationError as error:
        raise ConfigError(f"pretrained: got {pretrained!r}; expected a tag of open_clip") from error


def _evaluated_clip(layout: Layout) -> Clip:
    path = layout.metrics(PRETRAINED)
    if not path.is_file():
        raise DataError(
            f"{path}: it would say which CLIP is finetuned; run the workflow, or `clipdiff "
            "evaluate --cell pretrained`"
        )
    content = read_json(path)
    return _clip_of(content.get("provenance", {}), path)


def _clip_of(provenance: Values, path: Path) -> Clip:
    """Return the CLIP of a provenance; a folder named relative to the study is found from there."""
    try:
        values = provenance["settings"]["clip"]
        clip = _clip(values["model"], values.get("pretrained"))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: does not name the CLIP ({error}); make it again") from error
    folder = Path(clip.model.removeprefix(LOCAL_DIR))
    if not clip.model.startswith(LOCAL_DIR) or folder.is_absolute():
        return clip
    places = [folder, *(above / folder for above in path.resolve().parents)]
    place = next((each for each in places if (each / CLIP_CONFIG).is_file()), folder)
    return _clip(f"{LOCAL_DIR}{place}")


def _no_model(cell: Cell, layout: Layout) -> ModelError:
    models = layout.root / "models"
    there = [str(path.parent.relative_to(models)) for path in models.glob(f"*/*/*/{WEIGHTS}")]
    return ModelError(
        f"{layout.weights(cell)}: no such model{did_you_mean(str(cell), there)}; run the workflow, "
        f"or `clipdiff train --cell {cell}`, or correct results"
    )
