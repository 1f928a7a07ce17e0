"""A finetuned model to share: its open_clip folder and a model card."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import ModelCardData

from clipdiff.errors import DataError, ModelError
from clipdiff.files import read_json, written_whole
from clipdiff.grid import Cell, Layout
from clipdiff.grid.layout import WEIGHTS
from clipdiff.losses.base import describe_loss
from clipdiff.provenance import Provenance
from clipdiff.settings import Values
from clipdiff.shipped import SCHEME
from clipdiff.tasks.base import Measure
from clipdiff.tasks.measuring.measures import measures_in

BODY = """\
# {name}

A CLIP finetuned on pairwise image differences: its text tower puts a text that says how one
image differs from another along the difference of the two image embeddings (PC-CLIP, Sam et al.
2025). Made by clipdiff.

```python
import open_clip

model, _, preprocess = open_clip.create_model_and_transforms("local-dir:{folder}")
```

## Training
{training}

## Metrics
Measured by the workflow with the weights in this folder; intervals are {confidence:g} %, over
images. Choices were made on the validation split, if there is one: read the other splits.

{metrics}

## Limits
- What was learned from these images and texts need not carry over to others.
- Zero-shot accuracy can fall where difference accuracy rises. Averaging these weights with those
  of the base model keeps much of both.
- The texts come from captions, not from images: what captions leave out was not learned, and
  mistakes of whoever wrote the texts were.
- A research model, with the biases of its base model and of its texts.

## Provenance
{provenance}
"""


def export_model(layout: Layout, cell: Cell, output: Path) -> None:
    """Copy an exported model with a model card, ready for ``local-dir:`` or a hub.

    Args:
        layout: where results lie.
        cell: whose model.
        output: folder to write; files of the same names are replaced.

    Raises:
        ModelError: the cell has no exported model.
        DataError: its metrics or provenance are missing or of another form.
    """
    if not layout.weights(cell).is_file():
        raise ModelError(
            f"{layout.model(cell)}: no exported model (it lacks {WEIGHTS}); train this cell first, "
            "or correct --cell or --results"
        )
    path = layout.provenance(cell)
    trained = Provenance.parse(read_json(path), path)
    card = model_card(trained, read_json(layout.metrics(cell)), output.name)
    for source in sorted(path for path in layout.model(cell).iterdir() if path.is_file()):
        with written_whole(output / source.name) as scratch:
            shutil.copyfile(source, scratch)
    with written_whole(output / "README.md") as scratch:
        scratch.write_text(card)


def model_card(trained: Provenance, metrics: Mapping[str, Any], folder: str) -> str:
    """Return the card: base model, texts, loss, settings, metrics, limits, provenance.

    Args:
        trained: the provenance of the model.
        metrics: its metrics file.
        folder: name of the folder, for the example.

    Raises:
        DataError: a fact is missing.
    """
    settings = trained.settings
    try:
        measured = Provenance.parse(metrics["provenance"], f"the metrics of {folder}")
        body = BODY.format(
            name=f"{settings['llm']}, {settings['loss_name']}, seed {settings['seed']}",
            folder=folder,
            training=_training(trained),
            confidence=100 * measured.settings["evaluate"]["confidence"],
            metrics=_metrics(metrics["rows"], measures_in(measured.settings)),
            provenance=_provenance(trained),
        )
    except KeyError as error:
        raise DataError(
            f"the provenance or metrics of {folder} lack {error}; train and evaluate the cell again"
        ) from error
    return f"---\n{_header(settings['clip']).to_yaml()}\n---\n\n{body}"


def _header(base: Values) -> ModelCardData:
    """Return what a hub wants to know; a base model that is a folder means nothing there."""
    local = base["model"].startswith(("local-dir:", SCHEME))
    return ModelCardData(
        library_name="open_clip",
        pipeline_tag="zero-shot-image-classification",
        base_model=None if local else base["model"],
        tags=["clip", "pc-clip", "image-differences"],
    )


def _training(trained: Provenance) -> str:
    settings = trained.settings
    base, train = settings["clip"], settings["train"]
    tag = f" ({base['pretrained']})" if base.get("pretrained") else ""
    facts = {
        "Base model": f"`{base['model']}`{tag}",
        "Texts": f"`{settings['llm']}` (an entry of `llm_definitions`, or a control)",
        "Loss": f"{settings['loss_name']}: {describe_loss(settings['loss'])}",
        "Trained": f"{train['trainable']}, seed {settings['seed']}",
        "Settings": _listed(train),
    }
    if compute := trained.compute.get("train"):
        facts["Computed with"] = _listed(compute)
    return _bullets(facts)


def _metrics(rows: Sequence[Mapping[str, Any]], measures: Sequence[Measure]) -> str:
    titles = {(each.task, each.metric): each.title for each in measures if each.main}
    table = [
        {
            "split": row["split"],
            "metric": titles[row["task"], row["metric"]],
            "value": f"{row['value']:.3f}",
            "interval": f"[{row['ci_low']:.3f}, {row['ci_high']:.3f}]",
            "items": str(row["n"]),
        }
        for row in rows
        if row["weights"] == "finetuned" and (row["task"], row["metric"]) in titles
    ]
    if not table:
        return "None with finetuned weights: `evaluate.wise_alphas` lacks 1.0."
    return pd.DataFrame(table).to_markdown(index=False, disable_numparse=True)


def _provenance(trained: Provenance) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in trained.versions.items())
    return _bullets(
        {
            "Commit": str(trained.git_commit),
            "Settings hash": trained.settings_hash,
            "Versions": f"Python {trained.python}, {versions}",
            "Date": trained.date,
        }
    )


def _bullets(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {text}" for name, text in facts.items())


def _listed(section: Values) -> str:
    return ", ".join(f"{name} {value}" for name, value in section.items() if value is not None)
