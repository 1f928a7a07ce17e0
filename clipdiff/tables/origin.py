"""Where a number comes from: model, training texts, settings, commits; and where these disagree."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from clipdiff.errors import DataError
from clipdiff.files import read_json, read_parquet
from clipdiff.grid import Results, Variant
from clipdiff.provenance import values_hash
from clipdiff.tables.measures import row_kind

WEIGHTS = "open_clip_model.safetensors"
ASKED = ("llm", "model", "prompt_version", "seed")


@dataclass
class Origin:
    """What a reader needs to make a number again: (name, fact), and what does not fit together."""

    facts: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def stage(self, name: str, facts: Mapping[str, Any]) -> None:
        """Note one stage's provenance, and whether its settings are those that it hashed.

        Raises:
            DataError: it is no provenance.
        """
        try:
            commit, date, hashed = (facts[key] for key in ("git_commit", "date", "settings_hash"))
            found = values_hash(facts["settings"])
        except (KeyError, TypeError) as error:
            raise DataError(f"{name}: not a provenance ({error}); make it again") from error
        self.facts.append(
            (name, f"commit {commit or 'unknown'}, settings {hashed}, {date}, on {facts['host']}")
        )
        if found != hashed:
            self.warnings.append(
                f"{name}: its settings hash to {found}, not {hashed}: the file was edited"
            )
        if str(commit).endswith("-dirty"):
            self.warnings.append(f"{name}: made by code that its commit does not hold (-dirty)")


def find_origin(files: Results, variant: Variant, measured: Mapping[str, Any]) -> Origin:
    """Collect what lies behind a cell's metrics.

    Args:
        files: where results lie.
        variant: the cell.
        measured: the provenance of its metrics file.

    Raises:
        DataError: a file of the cell is missing or broken.
    """
    origin = Origin()
    origin.stage("metrics", measured)
    clip = measured["settings"]["clip"]
    origin.facts.append(("CLIP", f"{clip['model']}, pretrained {clip['pretrained']}"))
    if variant.is_pretrained:
        origin.facts.append(("model", "the CLIP itself, before any finetuning"))
        return origin
    folder = files.model(variant)
    trained = read_json(folder / "provenance.json")
    origin.facts.append(("model", f"{folder}, {WEIGHTS} SHA-256 {_sha256(folder / WEIGHTS)}"))
    origin.stage("training", trained)
    origin.facts.append(("loss", json.dumps(trained["settings"]["loss"])))
    origin.warnings += _disagreements(variant, measured, trained)
    _training_texts(origin, files, variant.llm)
    return origin


def _disagreements(
    variant: Variant, measured: Mapping[str, Any], trained: Mapping[str, Any]
) -> list[str]:
    """Return what says that these metrics are of another model, code or CLIP."""
    found, settings = [], trained["settings"]
    cell = Variant(settings["llm"], settings["loss_name"], str(settings["seed"]))
    if cell != variant:
        found.append(f"the model says that it is {cell.cell}, not {variant.cell}")
    if trained["git_commit"] != measured["git_commit"]:
        found.append(
            f"trained at commit {trained['git_commit']}, measured at {measured['git_commit']}"
        )
    if trained["date"] > measured["date"]:
        found.append(
            f"the model ({trained['date']}) is newer than its metrics ({measured['date']}): "
            "evaluate the cell again"
        )
    if settings["clip"]["model"] != measured["settings"]["clip"]["model"]:
        found.append(f"trained from {settings['clip']['model']}, another CLIP than measured with")
    return found


def _training_texts(origin: Origin, files: Results, llm: str) -> None:
    path = files.differences(llm)
    texts = read_parquet(path, ("kept",))
    origin.facts.append(
        ("training texts", f"{path}, {len(texts)} rows, {int(texts['kept'].sum())} kept")
    )
    source = llm.removeprefix("shuffled-")
    if not files.generations(source).is_file():
        if row_kind(llm) == "cell":
            origin.facts.append(
                ("answers", "none of its own: texts of a file, or another entry's answers")
            )
        return
    asked = read_parquet(files.generations(source), ASKED)
    known = {name: ", ".join(map(str, pd.unique(asked[name]))) for name in ASKED}
    origin.facts.append(
        (
            "answers",
            f"{files.generations(source)}, {len(asked)} rows by {known['llm']} "
            f"({known['model']}), prompt {known['prompt_version']}, seed {known['seed']}",
        )
    )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error}); train the cell again") from error
