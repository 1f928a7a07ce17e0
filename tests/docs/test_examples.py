"""Examples of Python and of configurations in the documentation work as they stand."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from documentation import ROOT, Block, blocks

from clipdiff.config import check_config
from clipdiff.losses.base import LOSSES
from clipdiff.settings.base import merge

PLUGIN = "docs/plugins.md"


def block_of(page: str, language: str, place: int = 0) -> Block:
    return [each for each in blocks(language) if str(each).startswith(page)][place]


def block_id(block: Block) -> str:
    return str(block)


def embeddings() -> dict[str, Any]:
    """Return 6 images, 5 pairs of them and their texts, with gradients to the texts."""
    import torch

    random = torch.Generator().manual_seed(0)
    image_embeds, text_embeds = (
        torch.nn.functional.normalize(torch.randn(rows, 8, generator=random), dim=1)
        for rows in (6, 5)
    )
    pair_index = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]])
    return {
        "torch": torch,
        "image_embeds": image_embeds,
        "pair_index": pair_index,
        "text_embeds": text_embeds.requires_grad_(),
    }


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example's module on Python's path."""
    (tmp_path / "sigmoid_loss.py").write_text(block_of(PLUGIN, "python").text)
    monkeypatch.syspath_prepend(tmp_path)
    beside = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{beside}")
    monkeypatch.delitem(sys.modules, "sigmoid_loss", raising=False)


@pytest.mark.parametrize("block", blocks("yaml"), ids=block_id)
def test_configurations_are_sound(block: Block, plugin: None) -> None:
    """Each is merged over the embedded default, as a preset of the reader's."""
    default = yaml.safe_load((ROOT / "config.yaml").read_text())
    check_config(merge(default, yaml.safe_load(block.text)))


def test_the_example_of_a_loss_falls(plugin: None) -> None:
    """It is found by its path, and a step along its gradient lowers it."""
    given = embeddings()
    entry = LOSSES.make({"kind": "sigmoid_loss:Sigmoid", "logit_scale": 20})
    module, text_embeds = entry.module(), given["text_embeds"]
    loss, stats = module(given["image_embeds"], given["pair_index"], text_embeds)
    loss.backward()
    lower, _ = module(
        given["image_embeds"], given["pair_index"], text_embeds - 0.01 * text_embeds.grad
    )
    assert lower < loss
    assert -1 <= stats.mean_cosine <= 1
    assert "logit_scale 20" in entry.describe()


def test_the_example_of_a_plugin_s_test(plugin: None) -> None:
    names: dict[str, Any] = {}
    exec(block_of(PLUGIN, "python", 1).text, names)
    names["test_sigmoid"]()


def test_the_example_of_an_entry_point_names_it() -> None:
    import tomllib

    points = tomllib.loads(block_of(PLUGIN, "toml").text)["project"]["entry-points"]
    assert points == {"clipdiff.losses": {"sigmoid": "sigmoid_loss:Sigmoid"}}


def test_the_kernels_readme(capsys: pytest.CaptureFixture[str]) -> None:
    names = embeddings()
    for block in blocks("python"):
        if block.page == ROOT / "kernels/README.md":
            exec(block.text, names)
    assert names["loss"].isfinite()
    assert names["criterion"].logit_scale.grad != 0
    assert capsys.readouterr().out.strip()


def test_the_loss_of_a_rank_s_rows() -> None:
    """One process of one, so that its rows are all of them."""
    from clipdiff_kernels import contrastive_loss, contrastive_loss_rows
    from torch import distributed

    names = embeddings()
    names |= {"my_texts": names["text_embeds"], "logit_scale": 10.0, "start": 0}
    names |= {"ReduceOp": distributed.ReduceOp, "contrastive_loss_rows": contrastive_loss_rows}
    alone = not distributed.is_initialized()  # else a training of another test has left its group
    if alone:
        distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        exec(block_of("docs/kernels.md", "python").text, names)
    finally:
        if alone:
            distributed.destroy_process_group()
    whole = contrastive_loss(names["image_embeds"], names["pair_index"], names["my_texts"], 10.0)
    assert names["loss"].item() == pytest.approx(whole.item(), rel=1e-6)
