"""Training over two nodes, as the profile's own example says it, ends as one process does."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from checkout import ROOT
from login_node import WEIGHTS, Login
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

EXAMPLE = "    # Several nodes"


@pytest.fixture
def two_nodes(tmp_path: Path) -> str:
    """The profile without the comment marks of its example, on nodes of as many GPUs as ranks."""
    before, rest = (ROOT / "profiles/slurm/config.yaml").read_text().split(EXAMPLE)
    heading, *lines = rest.split("  gather:")[0].splitlines()
    assert "2 of 4 GPUs" in heading
    example = "\n".join(line.replace("# ", "", 1) for line in lines)
    after = rest.split("  gather:")[1]
    (tmp_path / "config.yaml").write_text(f"{before}{example}\n  gather:{after}")
    return str(tmp_path)


def losses(login: Login) -> list[float]:
    """Return the cell's training losses, step by step."""
    lines = (login.folder / WEIGHTS).with_name("train_log.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_two_nodes_of_one_rank_train_to_the_weights_of_one_process(
    login: Login, two_nodes: str, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    # not Adam, which turns rounding of small gradients into steps
    one.write_text("train: {epochs: 2, optimizer: sgd, lr: 0.01}\n")
    two.write_text("train: {ranks: 2}\n")
    shutil.copytree(login.folder, tmp_path / "alone", symlinks=True)
    alone = Login(tmp_path / "alone", *login.presets, one)
    alone.snakemake(WEIGHTS)
    login.presets += (one, two)
    login.environment["GLOO_SOCKET_IFNAME"] = "lo"  # nodes without names: one machine
    login.finish(login.start(WEIGHTS, profile=two_nodes))
    assert login.jobs("%k|%D") == ["rule_train_wildcards_bert_contrastive_0|2"]
    assert losses(login) == pytest.approx(losses(alone), rel=1e-5)
    expected = load_file(alone.folder / WEIGHTS)
    for name, weight in load_file(login.folder / WEIGHTS).items():
        torch.testing.assert_close(weight, expected[name], atol=1e-5, rtol=1e-4)
