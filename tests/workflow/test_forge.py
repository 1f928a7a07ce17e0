"""What the forge and git run: workflow files, issue forms, hooks; each names what there is."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml"))
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def load(path: Path) -> dict[Any, Any]:
    loaded = yaml.safe_load(path.read_text())
    assert isinstance(loaded, dict)
    return loaded


def commands(workflow: dict[Any, Any]) -> list[str]:
    return [
        step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step
    ]


def by_id(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", WORKFLOWS, ids=by_id)
def test_workflows_run_targets_of_the_makefile(path: Path) -> None:
    workflow = load(path)
    assert workflow[True]  # YAML 1.1 reads the key `on` so
    assert workflow["permissions"] == {"contents": "read"}
    targets = [name for line in commands(workflow) for name in re.findall(r"\bmake ([\w-]+)", line)]
    assert targets
    assert set(targets) <= TARGETS
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 90
        assert all(re.search(r"@v\d+$", step["uses"]) for step in job["steps"] if "uses" in step)


def test_every_habit_has_its_workflow() -> None:
    lines = " ".join(line for path in WORKFLOWS for line in commands(load(path)))
    for target in ("lint", "test", "test-fast", "wheel", "docs"):
        assert re.search(rf"\bmake {target}(\s|$)", lines), target
    assert any("schedule" in load(path)[True] for path in WORKFLOWS)


def test_python_is_the_one_that_is_declared() -> None:
    versions = {
        step["with"]["python-version"]
        for path in WORKFLOWS
        for job in load(path)["jobs"].values()
        for step in job["steps"]
        if "python-version" in step.get("with", {})
    }
    assert versions == {"3.11"}


@pytest.mark.parametrize("path", FORMS, ids=by_id)
def test_issue_forms_ask_something(path: Path) -> None:
    form = load(path)
    assert form["name"]
    assert form["description"]
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids))
    assert any(field.get("validations", {}).get("required") for field in form["body"])
    assert all(field["attributes"]["label"] for field in form["body"])


def test_hooks_are_the_linters_of_make_lint() -> None:
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"  # nothing to download
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    recipe = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    for hook in repository["hooks"]:
        if hook["id"] != "schema":
            assert " ".join(hook["entry"].split()[:2]).removesuffix(" --check") in recipe


def test_dependabot_watches_pins_and_actions() -> None:
    updates = load(ROOT / ".github/dependabot.yml")["updates"]
    assert {each["package-ecosystem"] for each in updates} == {"pip", "github-actions"}
