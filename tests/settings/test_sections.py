"""Fields that decide numbers, and fields that say how they are computed."""

from typing import Literal

import pytest
from pydantic import Field, ValidationError

from clipdiff.settings import Clip, Compute, Section, Train, TrainChanges


class Inner(Section):
    size: int = 1
    threads: Compute[int | None] = 4


class Outer(Section):
    kind: Literal["a"] = "a"
    inner: Inner = Inner()
    named: dict[str, Inner] = Field(default_factory=dict)
    listed: list[int] = Field(default_factory=list)
    batch: Compute[int] = 2


def test_result_leaves_computing_out_at_any_depth():
    section = Outer(named={"x": Inner(size=3, threads=9)}, batch=7)
    assert section.result() == {
        "kind": "a",
        "inner": {"size": 1},
        "named": {"x": {"size": 3}},
        "listed": [],
    }


def test_compute_holds_what_is_set_and_nothing_else():
    section = Outer(named={"x": Inner(size=3, threads=9), "y": Inner(size=2)}, batch=7)
    assert section.compute() == {"named": {"x": {"threads": 9}}, "batch": 7}
    assert Outer().compute() == {}


def test_result_and_compute_make_the_section_again():
    section = Outer(inner=Inner(size=5, threads=1), named={"x": Inner(threads=3)}, batch=7)
    again = Outer.model_validate(section.result()).computed_by(section.compute())
    assert again == section


def test_changes_of_computing_come_in_order():
    train = Train(lr=1e-3, log_every=5)
    assert train.computed_by({"threads": 2}, {"threads": 3, "log_every": 1}).threads == 3
    assert TrainChanges(log_every=7).compute() == {"log_every": 7}
    with pytest.raises(ValidationError):
        train.computed_by({"thread": 2})


def test_null_is_a_key_that_is_not_written():
    section = Inner.model_validate({"size": None, "threads": None})
    assert section == Inner()
    assert section.model_fields_set == set()


def test_editors_see_which_is_which():
    fields = Clip.model_json_schema()["properties"]
    assert {name for name, field in fields.items() if field.get("compute")} == {"batch"}
