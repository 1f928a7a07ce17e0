"""Edits: a source image, a target, and the text that leads from the one to the other."""

import logging
import zlib
from pathlib import Path

import numpy as np

from clipdiff.settings import Evaluate
from clipdiff.tasks.measuring.splits import Split
from clipdiff.tasks.texts.attributes import NO_TEMPLATES, coded_attributes, load_templates
from clipdiff.tasks.texts.difference_pairs import read_pair_differences

log = logging.getLogger(__name__)


def choose_edits(split: Split, evaluate: Evaluate, edits: int) -> tuple[np.ndarray, list[str]]:
    """Choose edits: pairs of a source and a target, and the text that leads from one to the other.

    They are those of ``evaluate.pair_differences`` where there are no templates. Else the
    attributes take turns: the target differs from its source in one of them, and in as few others
    as the split's images allow.

    Args:
        split: its images.
        evaluate: templates, or the path of a table of texts; and the seed.
        edits: most edits.

    Returns:
        Rows (N, 2) int64 of sources and targets in the split, and N texts that say how the
        target ("the first") differs from the source ("the second"); none for a split without
        attributes and written texts.
    """
    if evaluate.templates == NO_TEMPLATES and evaluate.pair_differences:
        return _written_edits(split, evaluate, Path(evaluate.pair_differences), edits)
    templates = load_templates(evaluate.templates).values()
    if not any(split.attributes) and all(each.classes is None for each in templates):
        log.warning("%s: no attributes, so there is no edit CLIP-Score", split.where)
        return np.empty((0, 2), dtype=np.int64), []
    attributes = list(coded_attributes(evaluate.templates, split).values())
    codes = np.array([coded.codes for coded in attributes])  # (A, n)
    rng = _generator(split, evaluate)
    rounds = -(-edits // len(split.rows))
    sources = np.concatenate([rng.permutation(len(split.rows)) for _ in range(rounds)])
    pairs, texts = [], []
    for turn, source in enumerate(sources[:edits]):
        differ = _differing(codes, source)  # (A, n)
        counts = np.where(differ[turn % len(codes)], differ.sum(0), len(codes) + 1)
        if counts.min() > len(codes):
            continue
        target = rng.choice(np.flatnonzero(counts == counts.min()))
        changes = [coded for coded, row in zip(attributes, differ, strict=True) if row[target]]
        pairs.append((source, target))
        texts.append(" ".join(coded.describe(target, source) for coded in changes))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2), texts


def _written_edits(
    split: Split, evaluate: Evaluate, path: Path, edits: int
) -> tuple[np.ndarray, list[str]]:
    texts = read_pair_differences(path, split)
    pairs = _generator(split, evaluate).permutation(sorted(texts))[:edits]
    targets, sources = pairs.T
    return np.stack([sources, targets], axis=1), [texts[i, j] for i, j in pairs.tolist()]


def _generator(split: Split, evaluate: Evaluate) -> np.random.Generator:
    stream = [evaluate.seed % 2**32, zlib.crc32(split.name.encode()), zlib.crc32(b"edit")]
    return np.random.default_rng(stream)


def image_seeds(split: str, count: int, seed: int) -> list[int]:
    """Return a random seed for the image of each edit: every cell's are the same."""
    stream = [seed % 2**32, zlib.crc32(split.encode()), zlib.crc32(b"unclip")]
    return [
        int(np.random.SeedSequence([*stream, item]).generate_state(1, np.uint64)[0])
        for item in range(count)
    ]


def _differing(codes: np.ndarray, source: int) -> np.ndarray:
    """Return (A, n) bool: where an image has another value than the source, as far as is told."""
    own = codes[:, source, None]
    return (codes != own) & ~np.isnan(codes) & ~np.isnan(own)
