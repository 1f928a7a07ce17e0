"""The fenced blocks of the documentation, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELL = ("", "bash", "console", "plain", "sh")
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "profiles/README.md",
    ROOT / "kernels/README.md",
    ROOT / "envs/README.md",
    *sorted((ROOT / "docs").glob("**/*.md")),
]
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block; ``str(block)`` says where it stands."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[list[str]]:
        """Return the words of each command of a shell's block, comments left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        parts = [part for line in lines for part in line.removeprefix("$ ").split("&&")]
        words = [shlex.split(part, comments=True) for part in parts]
        return [each for each in words if each]


def blocks(*languages: str) -> list[Block]:
    """Return all blocks in one of the languages."""
    return [
        Block(page, text[: match.start()].count("\n") + 1, match[2], match[3])
        for page in PAGES
        for text in [page.read_text(encoding="utf-8")]
        for match in FENCE.finditer(text)
        if match[2] in languages
    ]


def spans() -> Iterator[tuple[Path, str]]:
    """Yield what stands between single backticks, with its page; broken lines are joined."""
    for page in PAGES:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        for span in re.findall(r"`([^`]+)`", text):
            yield page, " ".join(span.split())
