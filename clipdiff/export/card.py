"""A finetuned model to share: its open_clip folder and a model card."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import ModelCardData

from clipdiff.errors import DataError, ModelError
from clipdiff.files import read_json, written_whole

WEIGHTS = "open_clip_model.safetensors"
MEASURES = {
    ("difference/mean", "accuracy"): "difference accuracy (chance 0.5)",
    ("zero_shot", "acc1"): "zero-shot acc1",
    ("clip_score", "retrieval"): "CLIP-Score (retrieval)",
    ("clip_score", "edit"): "CLIP-Score, edit",
}
BODY = """\
# {name}

A CLIP finetuned on pairwise image differences: its text tower puts a text that says how one
picture differs from another along the difference of the two image embeddings (PC-CLIP, Sam et al.
2025). Made by clipdiff.

```python
import open_clip

model, _, preprocess = open_clip.create_model_and_transforms("local-dir:{folder}")
```

## Training
{training}

## Metrics
Measured by the workflow with the weights in this folder; intervals are {confidence:g} %, over
pictures. Choices were made on the validation split, if there is one: read the other splits.

{metrics}

## Limits
- What was learned from these pictures and texts need not carry over to others.
- Zero-shot accuracy can fall where difference accuracy rises. Averaging these weights with those
  of the base model keeps much of both.
- The texts come from captions, not from pictures: what captions leave out was not learned, and
  mistakes of whoever wrote the texts were.
- A research model, with the biases of its base model and of its texts.

## Provenance
{provenance}
"""


def export_model(model: Path, metrics: Path, output: Path) -> None:
    """Copy an exported model with a model card, ready for ``local-dir:`` or a hub.

    Args:
        model: ``models/{llm}/{loss}/seed{seed}``.
        metrics: ``metrics/{llm}/{loss}/seed{seed}.json``.
        output: folder to write; files of the same names are replaced.

    Raises:
        ModelError: ``model`` is no exported model.
        DataError: the metrics or the provenance are missing or of another form.
    """
    if not (model / WEIGHTS).is_file():
        raise ModelError(
            f"{model}: no exported model (it lacks {WEIGHTS}); train this cell first, or correct "
            "--variant or --results"
        )
    measured = read_json(metrics)
    card = model_card(read_json(model / "provenance.json"), measured, output.name)
    for source in sorted(path for path in model.iterdir() if path.is_file()):
        with written_whole(output / source.name) as scratch:
            shutil.copyfile(source, scratch)
    with written_whole(output / "README.md") as scratch:
        scratch.write_text(card)


def model_card(trained: dict[str, Any], measured: dict[str, Any], folder: str) -> str:
    """Return the card: base model, texts, loss, settings, metrics, limits, provenance.

    Args:
        trained: ``provenance.json`` of the model.
        measured: its metrics file.
        folder: name of the folder, for the example.

    Raises:
        DataError: a fact is missing.
    """
    try:
        settings = trained["settings"]
        base, loss = settings["clip"], settings["loss"]
        data = ModelCardData(
            library_name="open_clip",
            pipeline_tag="zero-shot-image-classification",
            base_model=None if base["model"].startswith("local-dir:") else base["model"],
            tags=["clip", "pc-clip", "image-differences"],
        )
        body = BODY.format(
            name=f"{settings['llm']}, {settings['loss_name']}, seed {settings['seed']}",
            folder=folder,
            training=_training(settings, base, loss),
            confidence=100 * measured["provenance"]["settings"]["evaluate"]["confidence"],
            metrics=_metrics(measured["rows"]),
            provenance=_provenance(trained),
        )
    except KeyError as error:
        raise DataError(
            f"the provenance or metrics of {folder} lack {error}; train and evaluate the cell again"
        ) from error
    return f"---\n{data.to_yaml()}\n---\n\n{body}"


def _training(settings: dict[str, Any], base: dict[str, Any], loss: dict[str, Any]) -> str:
    train = settings["train"]
    tag = f" ({base['pretrained']})" if base.get("pretrained") else ""
    facts = {
        "Base model": f"`{base['model']}`{tag}",
        "Texts": f"`{settings['llm']}` (an entry of `llm_definitions`, or a control)",
        "Loss": f"{settings['loss_name']}: {_listed(loss)}",
        "Trained": f"{train['trainable']}, seed {settings['seed']}",
        "Settings": _listed(train),
    }
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _metrics(rows: list[dict[str, Any]]) -> str:
    table = [
        {
            "split": row["split"],
            "metric": MEASURES[row["task"], row["metric"]],
            "value": f"{row['value']:.3f}",
            "interval": f"[{row['ci_low']:.3f}, {row['ci_high']:.3f}]",
            "items": str(row["n"]),
        }
        for row in rows
        if row["weights"] == "finetuned" and (row["task"], row["metric"]) in MEASURES
    ]
    if not table:
        return "None with finetuned weights: `evaluate.wise_alphas` lacks 1.0."
    return pd.DataFrame(table).to_markdown(index=False, disable_numparse=True)


def _provenance(facts: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    listed = {
        "Commit": facts["git_commit"],
        "Settings hash": facts["settings_hash"],
        "Versions": f"Python {facts['python']}, {versions}",
        "Date": facts["date"],
    }
    return "\n".join(f"- {name}: {value}" for name, value in listed.items())


def _listed(section: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in section.items() if value is not None)
