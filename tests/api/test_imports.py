"""``import clipdiff`` takes no time, and everything it names is there when it is asked for."""

import subprocess
import sys

import pytest

import clipdiff

HEAVY = {"torch", "pandas", "numpy", "pydantic", "open_clip", "transformers", "matplotlib"}


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, clipdiff; clipdiff.Cell.parse('a/b/seed0'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_every_public_name_is_there_and_a_wrong_one_is_an_attribute_error() -> None:
    for name in clipdiff.__all__:
        assert getattr(clipdiff, name) is not None
        assert name in dir(clipdiff)
    with pytest.raises(AttributeError, match="has no attribute 'load_modle'"):
        clipdiff.load_modle  # noqa: B018
