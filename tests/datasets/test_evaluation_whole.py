"""From data sets on a disk to metrics: prepare, embed and evaluate, as files follow files."""

from pathlib import Path

import numpy as np
import pandas as pd

from clipdiff.config import load_config
from clipdiff.config.model import Data
from clipdiff.config.stages import EmbedSettings, PrepareSettings, evaluate_settings
from clipdiff.data.prepare import prepare
from clipdiff.embed.embed import embed
from clipdiff.evaluate.run import evaluate
from clipdiff.files import read_json, read_parquet
from clipdiff.grid import PRETRAINED
from clipdiff.settings import SplitSettings

CLASSIFIED = {  # test images, classes
    "awa2": (6, 2),
    "cub200": (6, 2),
    "cifar10": (12, 10),
    "cifar100": (9, 4),
    "flowers102": (5, 6),
    "eurosat": (10, 10),
    "food101": (6, 2),
    "folder": (6, 2),
    "webdataset": (6, 2),
}


def test_every_set_from_disk_to_metrics(tmp_path: Path, write) -> None:
    for name in ("coco", *CLASSIFIED):
        write[name](tmp_path / name)
    data = Data(
        source="coco",
        root=str(tmp_path / "coco"),
        train_images=10,
        validation_images=6,
        test_images=4,
        pairs=10,
        evaluation={name: {"root": str(tmp_path / name)} for name in CLASSIFIED},
    )
    captions, embeds = tmp_path / "captions.parquet", tmp_path / "embeds.safetensors"
    prepare(PrepareSettings(data=data), captions, tmp_path / "pairs.parquet")
    config = load_config("config.yaml")
    embed(EmbedSettings(clip=config.clip), captions, embeds)
    section = config.evaluate.model_copy(
        update={
            "tasks": ["zero_shot"],
            "splits": ["test", *CLASSIFIED],
            "resamples": 50,
            "per_split": {
                "test": SplitSettings(tasks=["clip_score"]),
                "awa2": SplitSettings(
                    tasks=["difference_classification", "zero_shot"], templates="awa2_size"
                ),
            },
        }
    )
    settings = evaluate_settings(config.model_copy(update={"evaluate": section}), PRETRAINED)
    metrics, items = tmp_path / "m.json", tmp_path / "i.parquet"
    evaluate(settings, captions, embeds, None, metrics, items, tmp_path)
    rows = pd.DataFrame(read_json(metrics)["rows"]).set_index(["split", "task", "metric"])
    table = read_parquet(captions)
    for name, (count, classes) in CLASSIFIED.items():
        assert rows.loc[(name, "zero_shot", "acc1"), "n"].item() == count
        labels = table["label"][table["dataset"] == name]
        assert labels.nunique() == classes
    assert 0 < rows.loc[("test", "clip_score", "retrieval"), "value"].item() < 2.5
    assert rows.loc[("awa2", "difference/big", "accuracy"), "n"].item() > 0
    scored = read_parquet(items)
    ids = table.set_index("image_id")["split"]
    assert np.all(ids[scored["image_id_1"]].to_numpy() == scored["split"].to_numpy())
