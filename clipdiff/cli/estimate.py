"""``clipdiff estimate``."""

import math
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from clipdiff.cli import options as o
from clipdiff.config import Config, load_config
from clipdiff.config.sections import LLM
from clipdiff.errors import ClipdiffError
from clipdiff.grid import control_llms, trained_variants

WORDS_TO_TOKENS = 1.4
PROMPT_WORDS = 60
ANSWER_SHARE = 0.5  # of max_new_tokens
PROCESS_SECONDS = 12  # starting Python, torch and DeepSpeed once a job
EFFICIENCY = 0.3  # of the measured matrix-product speed, for small batches and the rest


def command(config: o.ConfigFiles = o.DEFAULT_CONFIG) -> None:
    """Say what a run will take: jobs, pairs, tokens, disk, and rough hours on this machine."""
    chosen = load_config(*config)
    speed = _matmul_flops()
    rows = [_generation(chosen, name, speed) for name in chosen.llms]
    rows += [_training(chosen, speed)]
    table = Table("stage", "jobs", "work", "tokens", "disk", "hours on this machine")
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print(
        f"{chosen.data.pairs} pairs of {chosen.data.train_images} pictures. Hours assume "
        f"{EFFICIENCY:.0%} of the {speed / 1e9:.0f} GFLOP/s just measured here, one job at a time, "
        f"{PROCESS_SECONDS} s to start each; a cluster's GPUs are faster by their own ratio."
    )


def _generation(config: Config, name: str, speed: float) -> tuple[str, ...]:
    llm, pairs = config.llm_definitions[name], config.data.pairs
    tokens = pairs * (PROMPT_WORDS * WORDS_TO_TOKENS + ANSWER_SHARE * llm.max_new_tokens)
    parameters = _llm_parameters(llm)
    hours = "at the server" if llm.kind == "api" and llm.base_url else "weights not here"
    if parameters:
        hours = _hours(2 * parameters * tokens, speed, 1)
    disk = f"{pairs * 400 / 2**20:.0f} MiB"
    return f"generate {name}", "1", f"{pairs} answers", f"{tokens / 1e6:.1f} M", disk, hours


def _training(config: Config, speed: float) -> tuple[str, ...]:
    cells = len(trained_variants(config))
    texts = config.data.pairs * config.train.epochs
    steps = math.ceil(config.data.pairs / config.train.batch) * config.train.epochs
    tokens = texts * 35
    try:
        towers = _clip_parameters(config.clip.model, config.clip.pretrained)
    except (ClipdiffError, RuntimeError, OSError):
        return f"train + evaluate ({steps} steps)", str(2 * cells), f"{cells} cells", "", "?", "?"
    disk = f"{4 * sum(towers) * cells / 2**30:.1f} GiB"
    hours = _hours(6 * towers[1] * tokens * cells, speed, 2 * cells)
    name = f"train + evaluate ({steps} steps a cell)"
    work = f"{cells} cells ({len(control_llms(config))} control rows)"
    return name, str(2 * cells), work, f"{tokens * cells / 1e6:.0f} M", disk, hours


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
    clip = open_clip.create_model(**name, device="meta")
    visual = sum(p.numel() for p in clip.visual.parameters())
    return visual, sum(p.numel() for p in clip.parameters()) - visual
