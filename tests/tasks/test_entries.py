"""What the entries say of themselves, and that a login node can read them."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from clipdiff.grid.layout import TEXT_TABLES
from clipdiff.tasks.base import TASKS
from clipdiff.tasks.clip_score import ClipScore, Unclip
from clipdiff.tasks.comparative_prompting import ComparativePrompting

KINDS = [
    "clip_score",
    "comparative_prompting",
    "difference_classification",
    "geometry",
    "linear_probe",
    "zero_shot",
]


def test_importing_every_kind_imports_no_heavy_library():
    code = (
        "import sys; from clipdiff.tasks.base import TASKS\n"
        "for kind in TASKS.kinds: TASKS.of(kind)().result()\n"
        "heavy = {'torch', 'open_clip', 'sklearn', 'scipy', 'statsmodels', 'transformers'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_file_is_a_kind_and_its_names_are_its_own():
    assert TASKS.kinds == KINDS
    entries = [TASKS.of(kind) for kind in KINDS]
    for kind, entry in zip(KINDS, entries, strict=True):
        assert entry().kind == kind
        assert entry.text_tables <= set(TEXT_TABLES)
        assert entry.asks_by <= set(entry.model_fields)
        assert entry.measures
        for measure in entry.measures:
            owners = [other for other in entries if other.is_of(measure.task)]
            assert owners == [entry]
    names = [measure.name for entry in entries for measure in entry.measures]
    assert len(set(names)) == len(names) == 11


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("difference/size", "difference_classification"),
        ("difference/mean", "difference_classification"),
        ("zero_shot", "zero_shot"),
        ("zero_shots", None),
        ("differences", None),
        ("", None),
    ],
)
def test_a_task_of_the_metrics_files_is_one_kinds(task, kind):
    owners = [each for each in KINDS if TASKS.of(each).is_of(task)]
    assert owners == ([kind] if kind else [])


def test_a_mean_over_tasks_holds_their_items():
    (measure,) = TASKS.of("difference_classification").measures
    assert measure.holds("difference/size")
    assert not measure.holds("difference/mean")
    assert not measure.holds("zero_shot")


def test_how_many_images_are_decoded_at_once_decides_no_number():
    few, many = (ClipScore(unclip=Unclip(model="decoder", batch=batch)) for batch in (2, 8))
    assert few.result() == many.result()
    assert few.result()["unclip"]["edits"] == 50
    assert few.compute() == {"unclip": {"batch": 2}}


def test_questions_are_asked_by_their_own_settings_only():
    entry = ComparativePrompting(confusions=2, prompt_alphas=[0.5])
    assert entry.asking() == ComparativePrompting(confusions=2)


def test_a_setting_of_another_task_is_an_error():
    with pytest.raises(ValidationError, match="class_pairs"):
        TASKS.make({"class_pairs": 4}, "clip_score")
