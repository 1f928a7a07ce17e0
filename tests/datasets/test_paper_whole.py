"""The paper's preset itself, on small data sets in its layouts: from files to every metric.

Only the sizes, the CLIP and the LLM are others: the embedded default's.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from clipdiff.config import Config, load_config
from clipdiff.config import stages as cut
from clipdiff.data.prepare import prepare
from clipdiff.datasets.flowers102 import NAMES
from clipdiff.embed.embed import embed
from clipdiff.evaluate.questions import write_questions
from clipdiff.evaluate.run import evaluate
from clipdiff.files import read_json, read_parquet
from clipdiff.grid import PRETRAINED, Layout, Row
from clipdiff.llm.evaluation_answers import answer_questions, filter_answers
from clipdiff.tasks.texts.attributes import load_templates

CLASSIFIED = ["cub200", "cifar10", "cifar100", "flowers102", "eurosat", "sun397"]


@pytest.fixture
def paper(tmp_path: Path, write, add_cub_captions, show_templates) -> Config:
    """The preset, its data sets written out small under a folder."""
    config = load_config("config.yaml", "config/paper.yaml")
    roots = {name: tmp_path / "datasets" / name for name in config.data.evaluation}
    for name, root in roots.items():
        kind = config.data.evaluation[name].kind
        write[kind](root)
        if kind in show_templates:
            show_templates[kind](root)
    add_cub_captions(roots["cub200"])
    write["coco"](tmp_path / "datasets/coco")
    sets = {
        name: entry.model_copy(update={"root": str(roots[name])})
        for name, entry in config.data.evaluation.items()
    }
    small = {"root": str(tmp_path / "datasets/coco"), "train_images": 10, "pairs": 45}
    clip = load_config("config.yaml").clip
    t5 = config.llm_definitions["t5"]
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={**small, "evaluation": sets}),
            "clip": clip,
            "reference_clip": clip,
            "llm_definitions": {**config.llm_definitions, "llama2_13b_chat": t5},
        }
    )


@pytest.fixture
def show_templates(lines, write_pickle):
    """Functions that give a small set what the preset's templates speak of."""

    def awa2(root: Path) -> None:
        """Give the two test classes every predicate, and no two alike."""
        names = sorted({*load_templates("awa2"), *load_templates("awa2_size")})
        base = root / "Animals_with_Attributes2"
        lines(base / "predicates.txt", [f"{n:6d}\t{name}" for n, name in enumerate(names, 1)])
        rows = [[(number + place) % 2 for number in range(len(names))] for place in (0, 1, 1, 0)]
        lines(base / "predicate-matrix-binary.txt", [" ".join(map(str, row)) for row in rows])

    def cifar100(root: Path) -> None:
        facts = {"fine_label_names": ["camel", "hamster", "lion", "shrew"]}
        write_pickle(root / "cifar-100-python/meta", facts)

    def flowers102(root: Path) -> None:
        names = NAMES.read_text().splitlines()
        classes = list(load_templates("flowers102_colour")["colour"].classes)
        classes = [*classes[:3], *classes[-3:], classes[0], classes[-1]]
        labels = np.array([[names.index(name) + 1 for name in classes]], dtype=np.uint8)
        savemat(root / "imagelabels.mat", {"labels": labels})

    return {"awa2": awa2, "cifar100": cifar100, "flowers102": flowers102}


def test_the_papers_evaluation_from_disk_to_metrics(tmp_path: Path, paper: Config) -> None:
    layout = Layout(tmp_path)
    prepare(cut.prepare_settings(paper), layout.captions, layout.pairs)
    embed(cut.embed_settings(paper), layout.captions, layout.image_embeds)
    write_questions(
        cut.questions_settings(paper), layout.captions, layout.image_embeds, layout.questions
    )
    llm = Row(str(paper.evaluate.writer))
    answer_questions(cut.generate_settings(paper, llm), layout.questions, layout.answers(llm))
    filter_answers(
        cut.filter_settings(paper, llm),
        layout.questions,
        layout.answers(llm),
        layout.evaluation_texts / str(llm),
    )
    evaluate(
        cut.evaluate_settings(paper, PRETRAINED),
        layout.captions,
        layout.image_embeds,
        None,
        layout.metrics(PRETRAINED),
        layout.items(PRETRAINED),
        layout,
    )
    rows = pd.DataFrame(read_json(layout.metrics(PRETRAINED))["rows"])
    measured = rows.groupby("split")["task"].agg(set).to_dict()
    assert not any(name.endswith("_validation") for name in measured)
    for name in CLASSIFIED:
        assert {"zero_shot", "comparative_prompting"} <= measured[name]
    for name in ("validation", "test"):
        assert measured[name] == {"difference/written", "difference/mean", "clip_score"}
    assert {"difference/written", "difference/mean"} <= measured["cub200"]
    assert "difference/size" in measured["cifar100"]
    assert "difference/colour" in measured["flowers102"]
    assert measured["awa2_size"] == {"difference/big", "difference/mean"}
    assert len(measured["awa2"]) == len(load_templates("awa2")) + 1
    scores = rows.query("task == 'clip_score' and split == 'test'")["metric"]
    assert {"retrieval", "retrieval_ref", "edit", "own"} == set(scores)
    assert rows["value"].notna().all()
    split = read_parquet(layout.captions).set_index("image_id")["split"]
    items = read_parquet(layout.items(PRETRAINED))
    assert (split[items["image_id_1"]].to_numpy() == items["split"]).all()
