"""CLIP-Score (Hessel 2021): 2.5 * max(cos, 0), with a frozen reference CLIP as the judge.

The judge scores what a cell retrieves; scoring fixed captions on fixed images with a frozen judge
would give every cell the same number.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from clipdiff.errors import DataError
from clipdiff.settings import Compute, Evaluate, Positive, Section
from clipdiff.tasks.base import ItemText, Measure, TaskEntry, Validation, View
from clipdiff.tasks.measuring.metrics import Items, Metric
from clipdiff.tasks.measuring.splits import Split
from clipdiff.tasks.texts.difference_pairs import questions_about_pairs
from clipdiff.tasks.texts.edits import choose_edits, image_seeds
from clipdiff.tasks.texts.evaluation_questions import EvaluationQuestion

if TYPE_CHECKING:
    from torch import Tensor

TASK = "clip_score"
WEIGHT = 2.5


class Unclip(Section):
    """The decoder that turns edited embeddings into images.

    It fits the CLIP whose image embeddings it was trained on, and no other.
    """

    model: str = Field(
        description="folder or hub name of a diffusers StableUnCLIPImg2ImgPipeline, trained on the "
        "image embeddings of clip.model: stable-diffusion-2-1-unclip on ViT-H-14 "
        "laion2b_s32b_b79k, its -small on ViT-L-14-quickgelu openai"
    )
    revision: str | None = Field(None, description="of a hub name: a commit, branch or tag")
    edits: Positive = Field(50, description="the first so many of the split's edits")
    steps: Positive = Field(20, description="denoising steps an image")
    guidance: float = Field(10.0, ge=1, description="classifier-free guidance; 1 is none")
    noise_level: int = Field(0, ge=0, description="noise on the embedding, of the decoder's steps")
    shown: int = Field(12, ge=0, description="images kept to look at, a split and weights")

    batch: Compute[Positive] = Field(
        8, description="images decoded at once; changes numbers by rounding only"
    )


class ClipScore(TaskEntry):
    """Retrieval, edit and own CLIP-Score, judged by the reference CLIP."""

    task: ClassVar[str] = TASK
    text_tables: ClassVar[frozenset[str]] = frozenset({"pair_differences"})
    measures: ClassVar[tuple[Measure, ...]] = (
        Measure(
            "retrieval",
            TASK,
            "retrieval",
            "CLIP-Score (retrieval)",
            "CLIP-Score",
            main=True,
            about="The cell finds an image for every caption; a frozen CLIP judges caption and "
            "image by 2.5 max(cos, 0). Higher is better.",
        ),
        Measure(
            "retrieval_ref",
            TASK,
            "retrieval_ref",
            "RefCLIPScore (retrieval)",
            "CLIP-Score",
            about="The harmonic mean of that score and of the cosine of the caption with the "
            "image's own.",
        ),
        Measure(
            "edit",
            TASK,
            "edit",
            "CLIP-Score (edit)",
            "CLIP-Score of edits",
            main=True,
            about="A caption plus the text of a difference finds an image; the judge compares "
            "it with the caption of the true target.",
        ),
        Measure(
            "edit_unclip",
            TASK,
            "edit_unclip",
            "CLIP-Score (edit by unCLIP)",
            "CLIP-Score of edits",
            about="The same, of an image that unCLIP makes, not of one that is found.",
        ),
    )

    kind: Literal["clip_score"] = "clip_score"
    score_prefix: str = Field("", description="text before a caption that is scored")
    edits: Positive = Field(500, description="edit items a split")
    unclip: Unclip | None = Field(
        None,
        description="edits are scored on images that unCLIP makes, too; null: retrieved ones only",
    )

    def on(
        self, split: Split, evaluate: Evaluate, validation: Validation | None = None
    ) -> "ClipScoreTask":
        """Score the split's captions and edits."""
        return ClipScoreTask(self, split, evaluate)

    def questions(
        self, split: Split, evaluate: Evaluate, validation: Validation | None = None
    ) -> Iterator[EvaluationQuestion]:
        """Ask about held-out pairs, whose texts are the edits where there are no templates."""
        return questions_about_pairs(split, evaluate)


class ClipScoreTask:
    """CLIP-Scores of one split.

    ``retrieval``: the cell's text tower retrieves an image of the split for each caption; the judge
    scores the caption on it. ``retrieval_ref``: the RefCLIPScore of the same, whose reference is
    the caption that the retrieved image has. ``edit``: the embedding of a caption plus that of a
    text that says how a target differs from it retrieves an image; the judge scores the target's
    caption on it. ``edit_unclip``: the same, on images that unCLIP makes of the first of these
    embeddings. ``own``: the cell's own score of each caption on its own image.
    """

    def __init__(self, entry: ClipScore, split: Split, evaluate: Evaluate):
        if "" in split.captions:
            raise DataError(
                f"{split.where}: {split.captions.count('')} images have no caption, which "
                "clip_score needs; name its tasks without it in evaluate.per_split"
            )
        self.captions = split.captions
        self.scored_texts = [entry.score_prefix + caption for caption in split.captions]
        self.items = Items(ids=split.image_ids, image_id_1=split.image_ids)
        self.edit_rows, self.edit_texts = choose_edits(split, evaluate, entry.edits)
        sources, targets = split.image_ids[self.edit_rows].T
        self.edit_items = Items(np.arange(len(sources)), sources, targets)
        self.unclip = entry.unclip
        self.seeds = image_seeds(split.name, len(sources), evaluate.seed)

    def texts(self) -> list[str]:
        """Captions as queries and as scored, and the edits."""
        return [*self.captions, *self.scored_texts, *self.edit_texts]

    def reference_texts(self) -> list[str]:
        """Captions as scored."""
        return self.scored_texts

    def measure(self, view: View, reference: View) -> list[Metric]:
        """Return retrieval, retrieval_ref, own and, where the split has attributes, the edits."""
        queries = view.text_embeds.of(self.captions)
        text_embeds = reference.text_embeds.of(self.scored_texts)
        own = clip_score(view.text_embeds.of(self.scored_texts), view.image_embeds)
        rows = retrieve(queries, view.image_embeds)
        image_embeds = reference.image_embeds[rows]
        scores = clip_score(text_embeds, image_embeds)
        ref_scores = ref_clip_score(text_embeds, image_embeds, text_embeds[rows][:, None])
        return [
            Metric(TASK, "retrieval", _array(scores), self.items, kept=True),
            Metric(TASK, "retrieval_ref", _array(ref_scores), self.items, kept=True),
            *self._edits(queries, text_embeds, view, reference),
            Metric(TASK, "own", _array(own), self.items, kept=True),
        ]

    def _edits(
        self, queries: "Tensor", text_embeds: "Tensor", view: View, reference: View
    ) -> Iterator[Metric]:
        """Yield edit and, with a decoder, edit_unclip; nothing for a split without edits."""
        if not self.edit_texts:
            return
        import torch
        from torch.nn.functional import normalize

        sources, targets = torch.from_numpy(self.edit_rows).T
        edited = normalize(queries[sources] + view.text_embeds.of(self.edit_texts), dim=1)
        image_embeds = reference.image_embeds[retrieve(edited, view.image_embeds)]
        scores = _array(clip_score(text_embeds[targets], image_embeds))
        yield Metric(TASK, "edit", scores, self.edit_items, kept=True)
        if self.unclip is not None and reference.paint is not None:
            first = slice(self.unclip.edits)
            painted = reference.paint(self.unclip, edited[first], self.seeds[first])
            scores = _array(clip_score(text_embeds[targets[first]], painted.image_embeds))
            legends = [self._legend(place, score) for place, score in enumerate(scores)]
            sheet = list(zip(painted.images, legends, strict=True))[: self.unclip.shown]
            items = self.edit_items.take(first)
            yield Metric(TASK, "edit_unclip", scores, items, kept=True, sheet=sheet)

    def _legend(self, place: int, score: float) -> str:
        source, target = self.edit_rows[place]
        text = self.edit_texts[place]
        return f"{self.captions[source]}\n+ {text}\n= {self.captions[target]} ({score:.2f})"

    def item_texts(self, task: str, metric: str) -> dict[int, ItemText]:
        """Return each image's caption as scored; for an edit, the caption and the text added."""
        if not metric.startswith("edit"):
            ids = self.items.ids.tolist()
            texts = zip(ids, self.scored_texts, strict=True)
            return {image_id: ItemText(text, (image_id,)) for image_id, text in texts}
        sources, targets = self.edit_items.image_ids
        return {
            place: ItemText(
                f"{self.captions[self.edit_rows[place, 0]]} + {text}",
                (int(sources[place]), int(targets[place])),
            )
            for place, text in enumerate(self.edit_texts)
        }


def clip_score(text_embeds: "Tensor", image_embeds: "Tensor") -> "Tensor":
    """Return (N,) CLIP-Scores 2.5 * max(cos, 0) in [0, 2.5] (Hessel 2021, eq. 1).

    Args:
        text_embeds: (N, D), L2-normalised.
        image_embeds: (N, D), L2-normalised, of the same CLIP.
    """
    return WEIGHT * (text_embeds * image_embeds).sum(1).clamp(min=0)


def ref_clip_score(
    text_embeds: "Tensor", image_embeds: "Tensor", reference_embeds: "Tensor"
) -> "Tensor":
    """Return (N,) RefCLIPScores in [0, 5/3.5]: harmonic means (Hessel 2021, eq. 2).

    Of the CLIP-Score, and of the largest cosine with a reference caption, at least 0; 0 where
    either is.

    Args:
        text_embeds: (N, D), L2-normalised.
        image_embeds: (N, D), L2-normalised, of the same CLIP.
        reference_embeds: (N, R, D), L2-normalised: R captions that are true of each image.
    """
    import torch

    scores = clip_score(text_embeds, image_embeds)
    cosines = torch.einsum("nd,nrd->nr", text_embeds, reference_embeds)
    nearest = cosines.amax(1).clamp(min=0)
    means = 2 * scores * nearest / (scores + nearest)
    return torch.where(scores * nearest > 0, means, 0.0)


def retrieve(queries: "Tensor", image_embeds: "Tensor") -> "Tensor":
    """Return (N,) int64: the row of the image (n, D) nearest to each query (N, D)."""
    return (queries @ image_embeds.T).argmax(1)


def _array(scores: "Tensor") -> np.ndarray:
    return scores.double().numpy()
