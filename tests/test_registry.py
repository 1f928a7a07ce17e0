"""Entries by kind: files of a room, entry points, and paths of classes."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import ValidationError

from clipdiff import registry
from clipdiff.datasets.base import DATASETS
from clipdiff.errors import ConfigError
from clipdiff.losses.base import LOSSES, LossEntry
from clipdiff.losses.hinge import Hinge
from clipdiff.registry import Entries, Registry, named
from clipdiff.settings import Section
from clipdiff.tasks.base import TASKS
from clipdiff.writers.base import WRITERS

PLUGIN = '''
"""A loss of somebody else's."""
from clipdiff.losses.base import LossEntry

class Far(LossEntry):
    power: int = 2

class Other: ...
'''


class Holder(Section):
    loss: Annotated[LossEntry, Entries(LOSSES)]


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "far_away.py").write_text(PLUGIN)
    (tmp_path / "broken_one.py").write_text("raise RuntimeError('no driver')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "far_away"
    sys.modules.pop("far_away", None)


@pytest.fixture
def with_points(monkeypatch: pytest.MonkeyPatch):
    """Return a registry that finds some entry points."""

    def make(**points: str) -> Registry:
        listed = [EntryPoint(name, value, LOSSES.room) for name, value in points.items()]
        monkeypatch.setattr(registry, "entry_points", lambda group: listed)
        return Registry(LossEntry)

    return make


def test_the_rooms_and_their_kinds() -> None:
    assert LOSSES.kinds == ["contrastive", "hinge", "squared"]
    assert WRITERS.kinds == ["api", "causal", "file", "masked", "reuse", "seq2seq", "vllm"]
    assert "zero_shot" in TASKS.kinds
    assert {"coco", "demo", "table"} <= set(DATASETS.kinds)
    for room in (LOSSES, WRITERS, TASKS, DATASETS):
        for kind in room.own_kinds:
            assert room.of(kind).model_fields["kind"].default == kind


def test_an_unknown_kind_has_a_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"got 'hinje' \(did you mean 'hinge'\?\); allowed: con"):
        LOSSES.make({"kind": "hinje"})


def test_a_class_by_its_path(plugin: str) -> None:
    loss = Holder.model_validate({"loss": {"kind": f"{plugin}:Far", "power": 3}}).loss
    assert loss.result() == {"kind": f"{plugin}:Far", "power": 3}
    again = Holder.model_validate({"loss": loss.result()}).loss
    assert again == loss
    with pytest.raises(ValidationError) as caught:
        Holder.model_validate({"loss": {"kind": f"{plugin}:Far", "powr": 3}})
    assert caught.value.errors()[0]["loc"] == ("loss", "powr")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("far_away:Other", "is no LossEntry"),
        ("far_away:Nothing", "has no attribute 'Nothing'"),
        ("broken_one:Far", "RuntimeError: no driver"),
        ("nowhere:Far", "No module named 'nowhere'"),
        ("..a:B", "can't be imported"),
        (":Far", "can't be imported"),
        ("clipdiff.losses.base:LossEntry", "is no LossEntry"),
        ("os:system", "is no LossEntry"),
    ],
)
def test_what_is_no_entry_is_told(plugin: str, kind: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        LOSSES.of(kind)


def test_an_entry_point_adds_a_kind(plugin: str, with_points) -> None:
    losses = with_points(far=f"{plugin}:Far")
    assert losses.of("far").__name__ == "Far"
    assert "far" in losses.kinds
    assert "far" not in losses.own_kinds


def test_an_entry_point_takes_no_name_of_a_built_in(plugin: str, with_points) -> None:
    assert with_points(hinge=f"{plugin}:Far").of("hinge") is Hinge


def test_a_broken_entry_point_hurts_nobody_else(plugin: str, with_points) -> None:
    losses = with_points(broken="broken_one:Far")
    assert losses.of("hinge") is Hinge
    with pytest.raises(ConfigError, match="no driver"):
        losses.of("broken")


def test_a_name_that_is_a_kind_needs_none() -> None:
    values = named(
        {"hinge": {"margin": 0.5}, "mine": {"kind": "squared"}, "contrastive": None}, LOSSES
    )
    assert values == {
        "hinge": {"margin": 0.5, "kind": "hinge"},
        "mine": {"kind": "squared"},
        "contrastive": {"kind": "contrastive"},
    }


def test_the_schema_is_the_union_of_all_kinds() -> None:
    schema = Holder.model_json_schema()["properties"]["loss"]
    assert schema["discriminator"] == {"propertyName": "kind"}
    assert len(schema["oneOf"]) == len(LOSSES.own_kinds)
