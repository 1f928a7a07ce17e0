"""Models of a run and others: which weights they have, and what ranking and comparing give."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from clipdiff import Cell, load_model
from clipdiff.api.models import Model
from clipdiff.api.results import Results
from clipdiff.errors import ClipdiffError, ConfigError, DataError, ModelError
from clipdiff.files import write_json
from clipdiff.grid import Layout
from clipdiff.shipped import path_of

TEXT = "The first image is brighter."


def projection(model: Model) -> torch.Tensor:
    return model.clip.model.state_dict()["text_projection"]


@pytest.fixture(scope="module")
def demo() -> Model:
    """The demo's CLIP."""
    return load_model("demo:clip")


def test_images_are_taken_as_paths_bytes_and_images(demo: Model, results: Results) -> None:
    images = results.images("test_scenes")
    embeds = demo.encode_images(images["image"])
    assert embeds.shape == (3, 128)
    assert embeds.dtype == torch.float32
    torch.testing.assert_close(embeds.norm(dim=1), torch.ones(3))
    path = Path(images["image"].iloc[1])
    others = [path, path.read_bytes(), Image.open(path), str(path)]
    for one in (demo.encode_images(others, batch=3), demo.encode_images(path).expand(4, -1)):
        torch.testing.assert_close(one, embeds[1].expand(4, -1))
    assert demo.encode_images([]).shape == (0, 128)


def test_texts_are_encoded_alone_or_many(demo: Model) -> None:
    embeds = demo.encode_texts([TEXT, "an owl"])
    assert embeds.shape == (2, 128)
    torch.testing.assert_close(embeds.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(demo.encode_texts(TEXT), embeds[:1])


def test_layers_on_top_of_embeddings_can_train(demo: Model) -> None:
    layer = torch.nn.Linear(128, 1)
    image = Image.new("RGB", (8, 8))
    for embeds in (demo.encode_texts(TEXT), demo.encode_images(image)):
        layer(embeds).sum().backward()
    torch.testing.assert_close(
        layer.weight.grad, demo.encode_texts(TEXT) + demo.encode_images(image)
    )


def test_ranking_and_comparing_agree(demo: Model, results: Results) -> None:
    images = results.images()["image"].tolist()
    order, scores = demo.rank(images, TEXT)
    assert sorted(order.tolist()) == [0, 1, 2, 3]
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    expected = demo.encode_images(images) @ demo.encode_texts(TEXT)[0]
    torch.testing.assert_close(scores, expected[order])
    first, last = images[order[0]], images[order[-1]]
    difference = demo.compare(first, last, TEXT)
    assert difference == pytest.approx(float(scores[0] - scores[-1]), abs=1e-6)
    assert difference > 0
    assert demo.compare(last, first, TEXT) == pytest.approx(-difference, abs=1e-6)


def test_a_cell_is_loaded_by_name_as_itself_or_by_its_folder(
    results: Results, layout: Layout, cell: Cell
) -> None:
    models = [
        load_model(cell, results),
        load_model(str(cell), results=layout.root),
        load_model("llm=null,loss=hinge,seed=0", str(layout.root)),
        load_model(layout.model(cell)),
        load_model(f"local-dir:{layout.model(cell)}"),
    ]
    assert [model.name for model in models[:3]] == [str(cell)] * 3
    for model in models[1:]:
        assert torch.equal(projection(model), projection(models[0]))


def test_weights_are_finetuned_pretrained_or_between(
    results: Results, cell: Cell, demo: Model
) -> None:
    before, after = projection(demo), projection(load_model(cell, results))
    assert not torch.allclose(before, after)
    assert torch.equal(projection(load_model(cell, results, "pretrained")), before)
    share = projection(load_model(cell, results, weights="averaged-0.25"))
    torch.testing.assert_close(share, 0.75 * before + 0.25 * after)
    assert torch.equal(projection(load_model("pretrained", results)), before)


def test_a_clip_named_relative_to_the_study_is_found_from_elsewhere(
    results: Results, layout: Layout, cell: Cell, demo: Model, tmp_path: Path
) -> None:
    (tmp_path / "my_clip").symlink_to(path_of("demo:clip"))
    named = {"model": "local-dir:my_clip", "pretrained": None}
    write_json(layout.provenance(cell), {"settings": {"clip": named}})
    before = load_model(cell, results, "pretrained")
    assert torch.equal(projection(before), projection(demo))


def test_the_wrong_words_are_refused(results: Results, cell: Cell, layout: Layout) -> None:
    with pytest.raises(ConfigError, match=r"got 'average-0.5'; allowed: finetuned, pretrained, or"):
        load_model(cell, results, "average-0.5")
    with pytest.raises(ConfigError, match=r"got 'averaged-1.5'; .* from 0 to 1"):
        load_model(cell, results, "averaged-1.5")
    with pytest.raises(ConfigError, match=r"got 'averaged-0.50', but demo:clip is not finetuned"):
        load_model("demo:clip", weights="averaged-0.50")
    with pytest.raises(ConfigError, match=r"but pretrained/none/seednone is not finetuned"):
        load_model("pretrained", results, "averaged-0.50")
    with pytest.raises(ConfigError, match="pretrained: has no effect on null/hinge/seed0"):
        load_model(cell, results, pretrained="openai")
    with pytest.raises(ConfigError, match=r"weights: got '0.5'; allowed"):
        load_model(cell, results, 0.5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="pretrained: got 3; expected a tag"):
        load_model("ViT-B-32", pretrained=3)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="results: got None; expected the results folder"):
        load_model(cell, None)  # type: ignore[arg-type]
    layout.provenance(cell).unlink()
    with pytest.raises(ModelError, match=r"lacks provenance\.json.*weights='finetuned'"):
        load_model(cell, results, "pretrained")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("null/hinge/seed1", r"no such model \(did you mean 'null/hinge/seed0'.*clipdiff train"),
        ("demo:clop", "demo:clop: no such model is shipped"),
        ("/tmp/nofolder", r"^load_model: got '/tmp/nofolder', .*expected a cell .*a folder with"),
        ("a/b/c/d", "^load_model: got 'a/b/c/d', which is neither a cell nor a folder nor an arch"),
        ("llm=null", "^load_model: got 'llm=null'"),
        ("", "^load_model: got ''; expected a cell"),
        (None, "^load_model: got None; expected a cell"),
        ("ViT-B-33", "got 'ViT-B-33' .did you mean 'ViT-B-32'"),
        (Path("no/folder"), "no/folder: no such folder"),
    ],
)
def test_a_model_that_is_not_there_is_named(
    results: Results, cell: Cell, name: str | Path | None, message: str
) -> None:
    with pytest.raises(ClipdiffError, match=message):
        load_model(name, results)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("no.png", "image 1: no such file: no.png"),
        (b"GIF89a", "image 1: its 6 bytes are no readable image"),
        (3, "image 1: got int; expected a path"),
    ],
)
def test_an_image_that_cannot_be_read_is_named(demo: Model, image: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        demo.encode_images([Image.new("RGB", (8, 8)), image])  # type: ignore[list-item]


@pytest.mark.parametrize("batch", [0, -1, 2.5, None])
def test_a_batch_holds_images(demo: Model, batch: object) -> None:
    with pytest.raises(ConfigError, match=r"batch: got .*; expected a whole number of at least 1"):
        demo.encode_images([Image.new("RGB", (8, 8))], batch=batch)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda m: m.encode_texts([TEXT, 3]), "text 1: got int; expected a str"),
        (lambda m: m.encode_texts(None), "texts: got NoneType; expected texts, or one"),
        (lambda m: m.encode_images(3), "images: got int; expected images, or one"),
        (lambda m: m.rank([Image.new("RGB", (8, 8))], [TEXT]), "text: got list; expected one str"),
    ],
)
def test_what_is_no_text_or_image_is_named(
    demo: Model, ask: Callable[[Model], object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        ask(demo)


@pytest.mark.slow
def test_a_finished_cell_measures_as_the_workflow_did(finished: Results) -> None:
    """Zero-shot by hand, with the prompts of the evaluation, gives the numbers of the table."""
    table = finished.metrics
    rows = table[(table["task"] == "zero_shot") & (table["metric"] == "acc1")]
    rows = rows[(rows["llm"] == rows["llm"].iloc[-1]) & (rows["split"] == rows["split"].iloc[-1])]
    images = finished.images(rows["split"].iloc[0])
    labels = sorted(finished.images()["label"].dropna().unique())  # of all splits
    for row in rows.drop_duplicates("weights").itertuples():
        cell = Cell.of(row.llm, row.loss, row.seed)
        prompt = finished.config(cell)["evaluation"]["evaluate"]["prompt"]
        model = load_model(cell, finished, row.weights)
        texts = model.encode_texts([prompt.format(label=label) for label in labels])
        best = (model.encode_images(images["image"]) @ texts.T).argmax(1)
        right = [labels[place] == label for place, label in zip(best, images["label"], strict=True)]
        assert sum(right) / len(right) == pytest.approx(row.value, abs=2 / len(right))
