"""Where a number comes from: model, training texts, settings, commits; and where these disagree."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from clipdiff.errors import DataError
from clipdiff.files import read_json, read_parquet
from clipdiff.grid import Cell, Control, Layout, Row
from clipdiff.grid.layout import WEIGHTS
from clipdiff.losses.base import describe_loss
from clipdiff.provenance import Provenance

ASKED = ("llm", "model", "prompt_version", "seed")


@dataclass
class Origin:
    """What a reader needs to make a number again: (name, fact), and what does not fit together."""

    facts: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add_stage(self, name: str, made: Provenance) -> None:
        """Note one stage's provenance, and whether its settings are those that it hashed."""
        commit, hashed = made.git_commit, made.settings_hash
        text = f"commit {commit or 'unknown'}, settings {hashed}, {made.date}, on {made.host}"
        if made.compute:
            text += f", computed with {json.dumps(made.compute)}"
        self.facts.append((name, text))
        if made.hash_now != hashed:
            self.warnings.append(
                f"{name}: its settings hash to {made.hash_now}, not {hashed}: the file was edited"
            )
        if str(commit).endswith("-dirty"):
            self.warnings.append(f"{name}: made by code that its commit does not hold (-dirty)")


def find_origin(layout: Layout, cell: Cell, measured: Provenance) -> Origin:
    """Collect what lies behind a cell's metrics.

    Args:
        layout: where results lie.
        cell: whose metrics.
        measured: the provenance of its metrics file.

    Raises:
        DataError: a file of the cell is missing or broken.
    """
    origin = Origin()
    origin.add_stage("metrics", measured)
    clip = _setting(measured, "metrics", "clip")
    origin.facts.append(("CLIP", f"{clip['model']}, pretrained {clip['pretrained']}"))
    if cell.is_pretrained:
        origin.facts.append(("model", "the CLIP itself, before any finetuning"))
        return origin
    weights, path = layout.weights(cell), layout.provenance(cell)
    trained = Provenance.parse(read_json(path), path)
    origin.facts.append(("model", f"{weights.parent}, {WEIGHTS} SHA-256 {_sha256(weights)}"))
    origin.add_stage("training", trained)
    loss = _setting(trained, "training", "loss")
    origin.facts.append(("loss", describe_loss(loss)))
    if trained.loss_kernels is not None:
        origin.facts.append(("loss kernels", str(trained.loss_kernels)))
    origin.warnings += _disagreements(cell, measured, trained)
    _add_training_texts(origin, layout, cell.row)
    return origin


def _setting(made: Provenance, stage: str, name: str) -> Any:
    """Return one of a stage's settings.

    Raises:
        DataError: it has none of that name.
    """
    try:
        return made.settings[name]
    except KeyError as error:
        raise DataError(
            f"{stage}: not the provenance of that stage (its settings lack '{name}'); make it again"
        ) from error


def _disagreements(cell: Cell, measured: Provenance, trained: Provenance) -> list[str]:
    """Return what says that these metrics are of another model, code or CLIP."""
    names = [_setting(trained, "training", name) for name in ("llm", "loss_name", "seed")]
    own, clip = Cell.of(*names), _setting(trained, "training", "clip")
    texts = []
    if own != cell:
        texts.append(f"the model says that it is {own}, not {cell}")
    if trained.git_commit != measured.git_commit:
        texts.append(f"trained at commit {trained.git_commit}, measured at {measured.git_commit}")
    if trained.date > measured.date:
        texts.append(
            f"the model ({trained.date}) is newer than its metrics ({measured.date}): "
            "evaluate the cell again"
        )
    if clip["model"] != _setting(measured, "metrics", "clip")["model"]:
        texts.append(f"trained from {clip['model']}, another CLIP than measured with")
    return texts


def _add_training_texts(origin: Origin, layout: Layout, row: Row) -> None:
    path = layout.differences(row)
    texts = read_parquet(path, ("kept",))
    origin.facts.append(
        ("training texts", f"{path}, {len(texts)} rows, {int(texts['kept'].sum())} kept")
    )
    answers = layout.generations(Row(row.llm) if row.control == Control.SHUFFLED else row)
    if answers.is_file():
        table = read_parquet(answers, ASKED)
        facts = {name: ", ".join(map(str, pd.unique(table[name]))) for name in ASKED}
        origin.facts.append(
            (
                "answers",
                f"{answers}, {len(table)} rows by {facts['llm']} ({facts['model']}), "
                f"prompt {facts['prompt_version']}, seed {facts['seed']}",
            )
        )
    elif row.in_grid:
        origin.facts.append(
            ("answers", "none of its own: texts of a file, or another entry's answers")
        )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error}); train the cell again") from error
