"""What a run will take: jobs, tokens, money, disk, and rough hours on this machine."""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from clipdiff import prompts
from clipdiff.config import Config
from clipdiff.config.entries import asked_llm, control_rows, train_of, trained_cells
from clipdiff.errors import ClipdiffError
from clipdiff.files import read_parquet
from clipdiff.grid import Layout, Row
from clipdiff.settings import Clip, Train
from clipdiff.writers.base import WriterEntry

WORDS_TO_TOKENS = 1.4  # where the tokenizer is not here
CAPTION = "a photo of two people who sit at a table with a cup of coffee"  # before there are pairs
SAMPLE = 200  # pairs
TEXT_TOKENS = 35  # of a difference, as a text tower sees it
PROCESS_SECONDS = 12  # starting Python, torch and DeepSpeed once a job
EFFICIENCY = 0.3  # of the measured matrix-product speed, for small batches and the rest


class Work(NamedTuple):
    """A stage's work in words; empty where there is nothing to say."""

    stage: str
    jobs: str
    work: str
    tokens: str = ""
    cost: str = ""
    disk: str = ""
    hours: str = ""


@dataclass(frozen=True)
class Estimate:
    """The work of a whole run."""

    works: list[Work]
    speed: float
    """FLOP/s of matrix products, measured on this machine."""

    @property
    def assumptions(self) -> str:
        """What the hours and the cost are based on."""
        return (
            f"Hours assume {EFFICIENCY:.0%} of the {self.speed / 1e9:.0f} GFLOP/s just measured "
            f"here, one job at a time, {PROCESS_SECONDS} s to start each; a cluster's GPUs are "
            "faster by their own ratio. Cost is that of entries with a price, in its currency, "
            "with answers half as long as allowed. Where the image tower trains, its hours come on "
            "top (>)."
        )


def estimate(config: Config, results: Path) -> Estimate:
    """Estimate a run's work.

    Args:
        config: the configuration.
        results: folder of the results; if ``prepare`` has run there, prompts are those of its
            pairs.

    Raises:
        ConfigError: a prompt is missing.
    """
    speed, pairs = matmul_flops(), Layout(results).pairs
    names = dict.fromkeys(filter(None, (asked_llm(config, Row(name)) for name in config.llms)))
    works = [_generation(config, name, speed, pairs) for name in names]
    works += [_training(config, *recipe, speed) for recipe in _recipes(config).items()]
    return Estimate(works, speed)


def _generation(config: Config, name: str, speed: float, table: Path) -> Work:
    entry, pairs, stage = config.llm_definitions[name], config.data.pairs, f"generate {name}"
    if entry.prompt_name is None:
        return Work(stage, "1", "a file is read")
    questions = pairs * prompt_tokens(entry, entry.prompt_name, table)
    answers = pairs * entry.expected_tokens
    price, parameters = entry.token_price, entry.parameters()
    hours = "weights not here" if entry.runs_here else "at the server"
    if parameters:
        hours = _hours(2 * parameters * (questions + answers), speed, 1)
    return Work(
        stage,
        str(config.generate.jobs),
        f"{pairs} answers",
        f"{(questions + answers) / 1e6:.1f} M",
        f"{price.cost(questions, answers):.2f}" if price else "",
        f"{pairs * 400 / 2**20:.0f} MiB",
        hours,
    )


def prompt_tokens(entry: WriterEntry, prompt: str, table: Path) -> float:
    """Return the mean tokens of a prompt: of some of the run's pairs, if there are any yet."""
    captions = [(CAPTION, CAPTION)]
    if table.is_file():
        pairs = read_parquet(table).head(SAMPLE)
        captions = list(zip(pairs["caption_1"], pairs["caption_2"], strict=True))
    template = prompts.load(prompt)
    texts = [prompts.as_text(template.turns("difference", *pair)) for pair in captions]
    if entry.folder is not None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(entry.folder)
        counts: list[float] = [len(ids) for ids in tokenizer(texts).input_ids]
    else:
        counts = [len(text.split()) * WORDS_TO_TOKENS for text in texts]
    return sum(counts) / len(counts)


def _recipes(config: Config) -> dict[Train, list[str]]:
    """Return every different section ``train`` of the grid, with the losses that it holds for."""
    recipes: dict[Train, list[str]] = {}
    for loss in config.losses:
        recipes.setdefault(train_of(config, loss), []).append(loss)
    return recipes


def _training(config: Config, train: Train, losses: list[str], speed: float) -> Work:
    cells = sum(cell.loss in losses for cell in trained_cells(config))
    pairs = _trained_pairs(config, train)
    steps, tokens = (
        math.ceil(pairs / train.batch) * train.epochs,
        pairs * train.epochs * TEXT_TOKENS,
    )
    whose = "" if len(losses) == len(config.losses) else f" {', '.join(losses)}"
    stage = f"train + evaluate{whose} ({steps} steps a cell)"
    work = f"{cells} cells ({len(control_rows(config))} control rows)"
    try:
        image, text = clip_parameters(config.clip)
    except (ClipdiffError, RuntimeError, OSError):
        return Work(stage, str(2 * cells), work, disk="?", hours="?")
    hours = _hours(6 * text * tokens * cells, speed, 2 * cells)
    return Work(
        stage,
        str(2 * cells),
        work,
        f"{tokens * cells / 1e6:.0f} M",
        disk=f"{4 * (image + text) * cells / 2**30:.1f} GiB",
        hours=f"> {hours}" if train.trains_images else hours,
    )


def _trained_pairs(config: Config, train: Train) -> int:
    """Return how many pairs a cell trains on if all texts are kept; of some images, roughly."""
    share = (train.images or config.data.train_images) / config.data.train_images
    pairs = max(1, round(config.data.pairs * share**2))
    return min(pairs, train.pairs or pairs)


def _hours(flops: float, speed: float, jobs: int) -> str:
    return f"{(flops / (speed * EFFICIENCY) + jobs * PROCESS_SECONDS) / 3600:.2f}"


def matmul_flops() -> float:
    """Measure fp32 (CPU) or bf16 (GPU) matrix products for a moment; FLOP/s."""
    import torch

    gpu = torch.cuda.is_available()
    size, kind = (8192, torch.bfloat16) if gpu else (1024, torch.float32)
    matrix = torch.randn(size, size, dtype=kind, device="cuda" if gpu else "cpu")
    count, began = 0, time.monotonic()
    while time.monotonic() - began < 0.5:
        float((matrix @ matrix)[0, 0])  # waits for the device
        count += 1
    return count * 2 * size**3 / (time.monotonic() - began)


def clip_parameters(clip: Clip) -> tuple[int, int]:
    """Return the parameters of the image tower and of the rest; no weights are read.

    Raises:
        RuntimeError, OSError: there is no such model, or its configuration can't be fetched.
    """
    import open_clip

    with _no_warnings():
        model = open_clip.create_model(
            clip.open_clip_name, pretrained=None, load_weights=False, device="meta"
        )
    visual = sum(p.numel() for p in model.visual.parameters())
    return visual, sum(p.numel() for p in model.parameters()) - visual


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Keep out of the log that open_clip was given no weights: none are meant to be loaded."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)
