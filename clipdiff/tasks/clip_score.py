"""CLIP-Score (Hessel 2021): 2.5 * max(cos, 0), with a frozen reference CLIP as the judge.

The judge scores what a cell finds; scoring fixed captions on fixed pictures with a frozen judge
would give every cell the same number.
"""

import logging
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from clipdiff.settings import Evaluate
from clipdiff.errors import DataError
from clipdiff.tasks.texts.attributes import NO_TEMPLATES, coded_attributes, load_templates
from clipdiff.tasks.texts.difference_pairs import read_pair_differences
from clipdiff.tasks.base import View
from clipdiff.tasks.measuring.metrics import Items, Metric
from clipdiff.tasks.measuring.splits import Split

log = logging.getLogger(__name__)

TASK = "clip_score"
WEIGHT = 2.5


def clip_score(text_embeds: Tensor, image_embeds: Tensor) -> Tensor:
    """Return (N,) CLIP-Scores 2.5 * max(cos, 0) in [0, 2.5] (Hessel 2021, eq. 1).

    Args:
        text_embeds: (N, D), L2-normalised.
        image_embeds: (N, D), L2-normalised, of the same CLIP.
    """
    return WEIGHT * (text_embeds * image_embeds).sum(1).clamp(min=0)


def ref_clip_score(text_embeds: Tensor, image_embeds: Tensor, reference_embeds: Tensor) -> Tensor:
    """Return (N,) RefCLIPScores in [0, 5/3.5]: harmonic means (Hessel 2021, eq. 2).

    Of the CLIP-Score, and of the largest cosine with a reference caption, at least 0; 0 where
    either is.

    Args:
        text_embeds: (N, D), L2-normalised.
        image_embeds: (N, D), L2-normalised, of the same CLIP.
        reference_embeds: (N, R, D), L2-normalised: R captions known to be true of each picture.
    """
    scores = clip_score(text_embeds, image_embeds)
    cosines = torch.einsum("nd,nrd->nr", text_embeds, reference_embeds)
    nearest = cosines.amax(1).clamp(min=0)
    means = 2 * scores * nearest / (scores + nearest)
    return torch.where(scores * nearest > 0, means, 0.0)


class ClipScore:
    """Retrieval, edit and own CLIP-Score of one split.

    ``retrieval``: the cell's text tower finds a picture of the split for each caption; the judge
    scores the caption on it. ``retrieval_ref``: the RefCLIPScore of the same, whose reference is
    the caption that the found picture has. ``edit``: the embedding of a caption plus that of a
    text that says how a target differs from it finds a picture; the judge scores the target's
    caption on it. ``edit_unclip``: the same, on pictures that unCLIP makes of the first of these
    embeddings. ``own``: the cell's own score of each caption on its own picture.
    """

    def __init__(self, split: Split, settings: Evaluate):
        if "" in split.captions:
            raise DataError(
                f"{split.where}: {split.captions.count('')} pictures have no caption, which "
                "clip_score needs; name its tasks without it in evaluate.per_split"
            )
        self.captions = split.captions
        self.scored = [settings.score_prefix + caption for caption in split.captions]
        self.items = Items(ids=split.image_ids, image_id_1=split.image_ids)
        self.edit_rows, self.edit_texts = choose_edits(split, settings)
        sources, targets = split.image_ids[self.edit_rows].T
        self.edit_items = Items(np.arange(len(sources)), sources, targets)
        self.unclip = settings.unclip
        self.seeds = picture_seeds(split.name, len(sources), settings.seed)

    def texts(self) -> list[str]:
        """Captions as queries and as scored, and the edits."""
        return [*self.captions, *self.scored, *self.edit_texts]

    def reference_texts(self) -> list[str]:
        """Captions as scored."""
        return self.scored

    def measure(self, view: View, reference: View) -> list[Metric]:
        """Return retrieval, retrieval_ref, own and, where the split has attributes, the edits."""
        queries = view.text_embeds.of(self.captions)
        judged = reference.text_embeds.of(self.scored)
        own = clip_score(view.text_embeds.of(self.scored), view.image_embeds)
        rows = retrieve(queries, view.image_embeds)
        found = reference.image_embeds[rows]
        referred = ref_clip_score(judged, found, judged[rows][:, None])
        metrics = [
            Metric(TASK, "retrieval", _array(clip_score(judged, found)), self.items, kept=True),
            Metric(TASK, "retrieval_ref", _array(referred), self.items, kept=True),
        ]
        if self.edit_texts:
            sources, targets = torch.from_numpy(self.edit_rows).T
            edited = normalize(queries[sources] + view.text_embeds.of(self.edit_texts), dim=1)
            found = reference.image_embeds[retrieve(edited, view.image_embeds)]
            scores = _array(clip_score(judged[targets], found))
            metrics.append(Metric(TASK, "edit", scores, self.edit_items, kept=True))
            metrics.extend(self._painted(edited, judged[targets], reference))
        return [*metrics, Metric(TASK, "own", _array(own), self.items, kept=True)]

    def _painted(self, edited: Tensor, judged: Tensor, reference: View) -> Iterator[Metric]:
        """Yield edit_unclip, if unCLIP paints for the judge."""
        if reference.paint is None:
            return
        first = slice(self.unclip.edits)
        painted = reference.paint(edited[first], self.seeds[first])
        scores = _array(clip_score(judged[first], painted.image_embeds))
        edits = zip(self.edit_rows[first], self.edit_texts[first], scores, strict=True)
        legends = [
            f"{self.captions[source]}\n+ {text}\n= {self.captions[target]} ({score:.2f})"
            for (source, target), text, score in edits
        ]
        shown = list(zip(painted.pictures, legends, strict=True))[: self.unclip.shown]
        items = self.edit_items.take(first)
        yield Metric(TASK, "edit_unclip", scores, items, kept=True, shown=shown)


def retrieve(queries: Tensor, image_embeds: Tensor) -> Tensor:
    """Return (N,) int64: the row of the picture (n, D) nearest to each query (N, D)."""
    return (queries @ image_embeds.T).argmax(1)


def choose_edits(split: Split, settings: Evaluate) -> tuple[np.ndarray, list[str]]:
    """Choose edits: pairs of a source and a target, and the text that leads from one to the other.

    They are those of ``evaluate.pair_differences`` where there are no templates. Else the
    attributes take turns: the target differs from its source in one of them, and in as few others
    as the split's pictures allow.

    Returns:
        Rows (N, 2) int64 of sources and targets in the split, and N texts that say how the
        target ("the first") differs from the source ("the second"); none for a split without
        attributes and written texts.
    """
    if settings.templates == NO_TEMPLATES and settings.pair_differences:
        return _written_edits(split, settings)
    templates = load_templates(settings.templates).values()
    if not any(split.attributes) and all(known.classes is None for known in templates):
        log.warning("%s: no attributes, so there is no edit CLIP-Score", split.where)
        return np.empty((0, 2), dtype=np.int64), []
    attributes = list(coded_attributes(settings.templates, split).values())
    codes = np.array([coded.codes for coded in attributes])  # (A, n)
    rng = _generator(split, settings)
    rounds = -(-settings.edits // len(split.rows))
    sources = np.concatenate([rng.permutation(len(split.rows)) for _ in range(rounds)])
    pairs, texts = [], []
    for turn, source in enumerate(sources[: settings.edits]):
        differ = _differing(codes, source)  # (A, n)
        counts = np.where(differ[turn % len(codes)], differ.sum(0), len(codes) + 1)
        if counts.min() > len(codes):
            continue
        target = rng.choice(np.flatnonzero(counts == counts.min()))
        changed = [known for known, row in zip(attributes, differ, strict=True) if row[target]]
        pairs.append((source, target))
        texts.append(" ".join(known.describe(target, source) for known in changed))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2), texts


def _written_edits(split: Split, settings: Evaluate) -> tuple[np.ndarray, list[str]]:
    texts = read_pair_differences(Path(settings.pair_differences), split)
    chosen = _generator(split, settings).permutation(sorted(texts))[: settings.edits]
    targets, sources = chosen.T
    return np.stack([sources, targets], axis=1), [texts[pair] for pair in map(tuple, chosen)]


def _generator(split: Split, settings: Evaluate) -> np.random.Generator:
    stream = [settings.seed % 2**32, zlib.crc32(split.name.encode()), zlib.crc32(b"edit")]
    return np.random.default_rng(stream)


def picture_seeds(split: str, count: int, seed: int) -> list[int]:
    """Return a random seed for the picture of each edit: every cell's are the same."""
    stream = [seed % 2**32, zlib.crc32(split.encode()), zlib.crc32(b"unclip")]
    return [
        int(np.random.SeedSequence([*stream, item]).generate_state(1, np.uint64)[0])
        for item in range(count)
    ]


def _differing(codes: np.ndarray, source: int) -> np.ndarray:
    """Return (A, n) bool: where a picture is known to differ from the source."""
    own = codes[:, source, None]
    return (codes != own) & ~np.isnan(codes) & ~np.isnan(own)


def _array(scores: Tensor) -> np.ndarray:
    return scores.double().numpy()
