"""What is checked of the settings of every entry, whatever its room."""

import json
import os
import subprocess
import sys

from pydantic import ValidationError

from clipdiff.registry import Entry

HEAVY = ("torch", "transformers", "open_clip", "openai", "sklearn", "deepspeed", "vllm")
_IMPORT = "import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"


def check_entry(entry: Entry) -> None:
    """Check what holds for the settings of any entry.

    They go through JSON and come back; what decides numbers is told from what does not;
    unknown keys are refused; and the module is imported without heavy libraries.

    Raises:
        AssertionError: says what does not hold.
    """
    _check_round_trip(entry)
    _check_unknown_keys(entry)
    _check_imports(type(entry))


def _check_round_trip(entry: Entry) -> None:
    name = type(entry).__name__
    result, compute = entry.result(), entry.compute()
    try:
        parts = json.loads(json.dumps([result, compute]))
    except TypeError as error:
        raise AssertionError(f"the settings of {name} are no JSON: {error}") from error
    try:
        again = type(entry).model_validate(parts[0]).computed_by(parts[1])
    except ValidationError as error:
        raise AssertionError(
            f"{name} refuses its own settings when they come back as JSON: {error}"
        ) from error
    for what, before, after in (
        ("decides numbers", result, again.result()),
        ("says how they are computed", compute, again.compute()),
    ):
        assert after == before, (
            f"what {what} of {name} changed on its way through JSON: {before} came back as {after}"
        )


def _check_unknown_keys(entry: Entry) -> None:
    try:
        type(entry).model_validate({**entry.result(), "no_such_setting": 1})
    except ValidationError:
        return
    raise AssertionError(
        f"{type(entry).__name__} takes a setting that it does not have, so a typo has no effect"
    )


def _check_imports(kind: type[Entry]) -> None:
    module = kind.__module__
    if module == "__main__" or module.rpartition(".")[2].startswith("test_"):
        return  # a test's own class
    code = _IMPORT.format(module=module, heavy=HEAVY)
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | paths,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{module} can't be imported by its name:\n{done.stderr}"
    heavy = done.stdout.strip()
    assert heavy == "[]", (
        f"importing {module} imports {heavy}; import them inside the functions that use them, as "
        "an entry's module is imported wherever a configuration is checked"
    )
