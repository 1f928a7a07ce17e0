"""One word a thing: names in both packages, and the documentation, keep to docs/glossary.md."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path
    for package in ("clipdiff", "kernels/clipdiff_kernels")
    for path in (ROOT / package).rglob("*.py")
)
OTHER_WORDS = {
    "picture": "image",
    "pictures": "image",
    "variant": "cell",
    "variants": "cell",
}
"""Words that are not used, and the glossary's word for the thing."""
PARTICIPLES = {"chosen", "found", "known", "shown", "wanted"}
"""They say what was done to a thing, not what the thing is."""
SETTINGS = {("clipdiff/tasks/clip_score.py", "shown"): "a key that configurations have"}
"""Fields whose names can't change, and why."""
SAME_CLASS: dict[str, str] = {}
"""Classes that lie in several modules under one name, and why that is right."""
SAME_MODULE = {
    "__init__": "Python's",
    "__main__": "Python's",
    "base": "what every entry of a room is made of",
    "inputs": "what a stage reads of the files of those before it",
    "run": "a stage from its settings to its files",
}
"""Names that several modules have, and what they mean in each of them."""


def words(name: str) -> list[str]:
    """Split a name of either style into lower-case words."""
    return re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in MODULES:
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def bound_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield every name that a module binds, with its line: definitions, arguments, variables."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.alias(asname=str()):
                yield node.lineno, str(node.asname)


def offenders(forbidden: set[str]) -> list[str]:
    """Return ``file:line name`` of every name with a forbidden word, and files so called."""
    names = [
        f"{path}:{line} {name}"
        for path, tree in trees()
        for line, name in bound_names(tree)
        if forbidden & {*words(name)} and (path, name) not in SETTINGS
    ]
    files = [str(path.relative_to(ROOT)) for path in MODULES]
    return names + [file for file in files if forbidden & {*words(Path(file).stem)}]


def test_names_are_split_into_words() -> None:
    assert words("load_PictureSheet2") == ["load", "picture", "sheet2"]
    assert words("invariant") == ["invariant"]


def test_a_forbidden_name_is_met_wherever_it_is_bound() -> None:
    code = "def f(known, *shown): found = [chosen for chosen in known]; self.wanted = found"
    names = {name for _, name in bound_names(ast.parse(code))}
    assert names >= PARTICIPLES


def test_things_have_the_glossary_s_names() -> None:
    names = offenders(set(OTHER_WORDS))
    assert not names, f"{OTHER_WORDS}\n" + "\n".join(names)


def test_names_are_no_participles() -> None:
    names = offenders(PARTICIPLES)
    assert not names, "say what the thing is\n" + "\n".join(names)


def test_one_class_has_one_name() -> None:
    homes = defaultdict(set)
    for path, tree in trees():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].add(path)
    twice = {name: sorted(where) for name, where in homes.items() if len(where) > 1}
    assert not twice.keys() - SAME_CLASS.keys(), twice
    assert not SAME_CLASS.keys() - twice.keys(), "an exception that is none any more"


def test_one_module_has_one_name() -> None:
    """A verb's module may be called as the stage that it runs."""
    homes = defaultdict(set)
    for path in MODULES:
        package, *_, name = path.relative_to(ROOT).with_suffix("").parts
        if package == "clipdiff" and name not in SAME_MODULE and path.parent.name != "cli":
            homes[name].add(str(path.relative_to(ROOT)))
    twice = {name: sorted(where) for name, where in homes.items() if len(where) > 1}
    assert not twice


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs").glob("**/*.md")), ids=lambda page: page.name
)
def test_documentation_has_the_glossary_s_words(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    other = sorted({*re.findall(r"[a-z]+", text.lower())} & set(OTHER_WORDS))
    assert not other, f"{page.name}: {other}; the glossary says {OTHER_WORDS}"


def test_glossary_defines_each_word_once() -> None:
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    terms = [
        term.strip().lower()
        for line in re.findall(r"^- \*\*(.+?)\*\*:", text, flags=re.MULTILINE)
        for term in line.split(",")
    ]
    assert len(terms) == len(set(terms))
    missing = {"image", "pair", "text", "item", "writer", "run", "row", "cell"} - set(terms)
    assert not missing
