"""``clipdiff check``."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from clipdiff.cli import options as o
from clipdiff.cli.cluster import Finding
from clipdiff.cli.cluster import findings as look_at_cluster
from clipdiff.config import Config, load_config
from clipdiff.config.entries import asked_llm, train_of, writer
from clipdiff.grid import all_variants
from clipdiff.provenance import LIBRARIES, gpu_names, installed_version

ProfileFolder = Annotated[
    Path | None,
    typer.Option("--cluster", help="Look at SLURM too, with this profile: profiles/slurm."),
]


def command(
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    results: o.ResultsFolder = o.DEFAULT_RESULTS,
    cluster: ProfileFolder = None,
) -> None:
    """Validate the configuration and this machine, or a cluster, before anything runs."""
    chosen = load_config(*config)
    console = Console(soft_wrap=True)
    console.print(
        f"grid: {len(chosen.llms)} LLMs x {len(chosen.losses)} losses x {len(chosen.seeds)} seeds, "
        f"{len(all_variants(chosen))} rows with controls and pretrained"
    )
    findings = [*_models(chosen), *_data(chosen), *_machine(chosen, results)]
    if cluster is not None:
        findings += look_at_cluster(cluster, results)
    for fine, text in findings:
        console.print(f"[green]ok[/]      {text}" if fine else f"[red]missing[/] {text}")
    if not all(fine for fine, _ in findings):
        raise typer.Exit(1)


def _models(config: Config) -> Iterator[Finding]:
    for section, clip in (("clip", config.clip), ("reference_clip", config.reference_clip)):
        folder = clip.model.removeprefix("local-dir:")
        if folder == clip.model:
            yield (
                True,
                f"{section}: {clip.model} ({clip.pretrained}), fetched by open_clip if absent",
            )
            continue
        there = (Path(folder) / "open_clip_config.json").is_file()
        yield there, f"{section}: open_clip folder {folder}"
    rows = [*config.llms, config.controls.llm, writer(config)]
    for name in dict.fromkeys(filter(None, (asked_llm(config, row) for row in rows))):
        llm = config.llm_definitions[name]
        key = f"llm_definitions.{name}"
        if llm.kind == "api" and llm.base_url:
            there, place = bool(os.environ.get(llm.key_env)), f"the variable {llm.key_env}"
            if llm.key_file is not None:
                there, place = Path(llm.key_file).expanduser().is_file(), llm.key_file
            yield there, f"{key}: {llm.base_url}; its key in {place}"
        elif llm.model.count("/") > 1 or llm.kind == "file":
            yield Path(llm.model).exists(), f"{key}: {llm.model}"
        else:
            yield True, f"{key}: {llm.model}, fetched from the hub if absent"


def _data(config: Config) -> Iterator[Finding]:
    if config.data.source == "table":
        yield Path(str(config.data.table)).is_file(), f"data.table: {config.data.table}"
    if config.data.source == "coco" or config.data.evaluation:
        from clipdiff.cli.data import findings

        yield from findings(config)
    if config.data.source != "demo":
        return
    from clipdiff.demo.scenes import ASSETS

    for line in (ASSETS / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        path = ASSETS / name
        whole = path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest
        yield whole, f"data.source: demo asset {name}, whole by its checksum"


def _machine(config: Config, results: Path) -> Iterator[Finding]:
    for name in LIBRARIES:
        version = installed_version(name)
        yield version is not None, f"python package {name} {version or ''}"
    parent = next(path for path in [results.resolve(), *results.resolve().parents] if path.exists())
    yield os.access(parent, os.W_OK), f"results: {parent} can be written"
    free = shutil.disk_usage(parent).free / 2**30
    yield free > 2, f"results: {free:.0f} GiB free"
    gpus = gpu_names()
    for precision in sorted({train_of(config, loss).precision for loss in config.losses}):
        fits = bool(gpus) or precision == "fp32"
        yield fits, f"train.precision: {precision} on {gpus or 'the CPU'}"
