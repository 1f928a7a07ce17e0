"""``clipdiff estimate``."""

import logging
import math
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from clipdiff.cli import options as o
from clipdiff.config import Config, load_config
from clipdiff.config.entries import asked_llm, train_of
from clipdiff.settings import LLM, Train
from clipdiff.errors import ClipdiffError
from clipdiff.files import read_parquet
from clipdiff.grid import Results, control_llms, trained_variants

WORDS_TO_TOKENS = 1.4  # where the tokenizer is not here
CAPTION = "a photo of two people who sit at a table with a cup of coffee"  # before there are pairs
SAMPLE = 200  # pairs
ANSWER_SHARE = 0.5  # of max_new_tokens
PROCESS_SECONDS = 12  # starting Python, torch and DeepSpeed once a job
EFFICIENCY = 0.3  # of the measured matrix-product speed, for small batches and the rest


def command(
    config: o.ConfigFiles = o.DEFAULT_CONFIG, results: o.ResultsFolder = o.DEFAULT_RESULTS
) -> None:
    """Say what a run will take: jobs, tokens, money, disk, and rough hours on this machine."""
    chosen = load_config(*config)
    speed = _matmul_flops()
    pairs = Results(results).pairs
    asked = dict.fromkeys(asked_llm(chosen, name) for name in chosen.llms)
    rows = [_generation(chosen, name, speed, pairs) for name in asked]
    rows += [_training(chosen, *recipe, speed) for recipe in _recipes(chosen).items()]
    table = Table("stage", "jobs", "work", "tokens", "cost", "disk", "hours on this machine")
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print(
        f"{chosen.data.pairs} pairs of {chosen.data.train_images} pictures. Hours assume "
        f"{EFFICIENCY:.0%} of the {speed / 1e9:.0f} GFLOP/s just measured here, one job at a time, "
        f"{PROCESS_SECONDS} s to start each; a cluster's GPUs are faster by their own ratio. Cost "
        "is that of entries with a price, in its currency, with answers half as long as allowed. "
        "Where the image tower trains, its hours come on top (>)."
    )


def _generation(config: Config, name: str, speed: float, table: Path) -> tuple[str, ...]:
    llm, pairs = config.llm_definitions[name], config.data.pairs
    if llm.kind == "file":
        return f"generate {name}", "1", "a file is read", "", "", "", ""
    asked, answered = pairs * _prompt_tokens(llm, table), pairs * ANSWER_SHARE * llm.max_new_tokens
    tokens = asked + answered
    cost = f"{llm.price.cost(asked, answered):.2f}" if llm.price else ""
    parameters = _llm_parameters(llm)
    hours = "at the server" if llm.kind == "api" and llm.base_url else "weights not here"
    if parameters:
        hours = _hours(2 * parameters * tokens, speed, 1)
    disk = f"{pairs * 400 / 2**20:.0f} MiB"
    jobs, work = str(config.generate.jobs), f"{pairs} answers"
    return f"generate {name}", jobs, work, f"{tokens / 1e6:.1f} M", cost, disk, hours


def _prompt_tokens(llm: LLM, table: Path) -> float:
    """Return the mean tokens of a prompt: of some of the run's pairs, if there are any yet."""
    from clipdiff import prompts

    captions = [(CAPTION, CAPTION)]
    if table.is_file():
        pairs = read_parquet(table).head(SAMPLE)
        captions = list(zip(pairs["caption_1"], pairs["caption_2"], strict=True))
    prompt = prompts.load(llm.prompt)
    texts = [prompts.as_text(prompt.turns("difference", *pair)) for pair in captions]
    if Path(llm.model).is_dir():
        from transformers import AutoTokenizer

        counts = [len(ids) for ids in AutoTokenizer.from_pretrained(llm.model)(texts).input_ids]
    else:
        counts = [len(text.split()) * WORDS_TO_TOKENS for text in texts]
    return sum(counts) / len(counts)


def _recipes(config: Config) -> dict[Train, list[str]]:
    """Return every different section ``train`` of the grid, with the losses that it holds for."""
    recipes: dict[Train, list[str]] = {}
    for loss in config.losses:
        recipes.setdefault(train_of(config, loss), []).append(loss)
    return recipes


def _training(config: Config, train: Train, losses: list[str], speed: float) -> tuple[str, ...]:
    cells = sum(variant.loss in losses for variant in trained_variants(config))
    pairs = _trained_pairs(config, train)
    steps, tokens = math.ceil(pairs / train.batch) * train.epochs, pairs * train.epochs * 35
    whose = "" if len(losses) == len(config.losses) else f" {', '.join(losses)}"
    name = f"train + evaluate{whose} ({steps} steps a cell)"
    work = f"{cells} cells ({len(control_llms(config))} control rows)"
    try:
        towers = _clip_parameters(config.clip.model, config.clip.pretrained)
    except (ClipdiffError, RuntimeError, OSError):
        return name, str(2 * cells), work, "", "", "?", "?"
    disk = f"{4 * sum(towers) * cells / 2**30:.1f} GiB"
    hours = _hours(6 * towers[1] * tokens * cells, speed, 2 * cells)
    if train.trains_images:
        hours = f"> {hours}"
    return name, str(2 * cells), work, f"{tokens * cells / 1e6:.0f} M", "", disk, hours


def _trained_pairs(config: Config, train: Train) -> int:
    """Return how many pairs a cell trains on if all texts are kept; of some pictures, roughly."""
    share = (train.images or config.data.train_images) / config.data.train_images
    pairs = max(1, round(config.data.pairs * share**2))
    return min(pairs, train.pairs or pairs)


def _hours(flops: float, speed: float, jobs: int) -> str:
    return f"{(flops / (speed * EFFICIENCY) + jobs * PROCESS_SECONDS) / 3600:.2f}"


def _matmul_flops() -> float:
    """Measure fp32 (CPU) or bf16 (GPU) matrix products for a moment; FLOP/s."""
    import torch

    gpu = torch.cuda.is_available()
    size, kind = (8192, torch.bfloat16) if gpu else (1024, torch.float32)
    matrix = torch.randn(size, size, dtype=kind, device="cuda" if gpu else "cpu")
    done, began = 0, time.monotonic()
    while time.monotonic() - began < 0.5:
        float((matrix @ matrix)[0, 0])  # waits for the device
        done += 1
    return done * 2 * size**3 / (time.monotonic() - began)


def _llm_parameters(llm: LLM) -> int | None:
    """Return the parameter count of a local model's safetensors, or None."""
    files = list(Path(llm.model).glob("*.safetensors")) if llm.kind != "file" else []
    if not files:
        return None
    from safetensors import safe_open

    total = 0
    for file in files:
        with safe_open(file, framework="pt") as weights:
            total += sum(math.prod(weights.get_slice(k).get_shape()) for k in weights.keys())  # noqa: SIM118
    return total


def _clip_parameters(model: str, pretrained: str | None) -> tuple[int, int]:
    """Return the parameters of the image tower and of the rest."""
    import open_clip

    name: dict[str, Any] = {"model_name": model, "pretrained": None, "load_weights": False}
    logging.getLogger().setLevel(logging.ERROR)  # it warns of weights that are not wanted here
    clip = open_clip.create_model(**name, device="meta")
    visual = sum(p.numel() for p in clip.visual.parameters())
    return visual, sum(p.numel() for p in clip.parameters()) - visual
