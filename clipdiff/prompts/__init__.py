"""Prompts are data: one YAML file each, versioned, with a template a task.

``difference``, ``rewrite`` and ``describe`` are templates that hold ``{caption_1}`` and, for the
first, ``{caption_2}`` (``[MASK]`` marks a masked model's slots; its answer is what follows the
captions). ``describe`` asks how the images of a class look, given its name. Optional are
``system``, a chat model's instruction on captions; ``examples``, answered questions a task, shown
before every question; and ``stop``, strings that end an answer. Raise ``version`` with every
change.

Captions are untrusted text: they are put in by plain replacement, on one line, cut to a sane
length, and can hold neither placeholders nor a model's special tokens.
"""

import re
from functools import cache
from pathlib import Path
from typing import Literal, TypedDict

import yaml
from pydantic import Field, ValidationError

from clipdiff.errors import ConfigError, did_you_mean
from clipdiff.settings import Section

FOLDER = Path(__file__).parent
CAPTION_CHARACTERS = 1_000
MASK = "[MASK]"
_BRACKETS = str.maketrans("<>[]", "()()")  # they spell special tokens: </s>, [INST], [MASK]

Task = Literal["difference", "rewrite", "describe"]


class Turn(TypedDict):
    """One message of a conversation, as chat templates and chat servers take it."""

    role: Literal["system", "user", "assistant"]
    content: str


class Example(Section):
    """One answered question."""

    caption_1: str
    caption_2: str = ""
    answer: str


class Prompt(Section):
    """One prompt file."""

    version: str
    difference: str
    rewrite: str | None = None
    describe: str | None = None
    system: str | None = None
    stop: list[str] = Field(default_factory=list)
    examples: dict[Task, list[Example]] = Field(default_factory=dict)

    def question(self, task: Task, caption_1: str, caption_2: str = "") -> str:
        """Return the template of a task with the captions put in.

        Raises:
            ConfigError: the prompt has no such task.
        """
        template: str | None = getattr(self, task)
        if template is None:
            raise ConfigError(f"prompt {self.version}: has no template for the task '{task}'")
        captions = {"caption_1": _one_line(caption_1), "caption_2": _one_line(caption_2)}
        return re.sub(r"\{(caption_[12])\}", lambda match: captions[match[1]], template)

    def turns(self, task: Task, caption_1: str, caption_2: str = "") -> list[Turn]:
        """Return the whole conversation to be answered: instruction, examples, question.

        Raises:
            ConfigError: the prompt has no such task.
        """
        turns: list[Turn] = []
        if self.system and task != "describe":  # it speaks of captions
            turns.append({"role": "system", "content": self.system})
        for example in self.examples.get(task, []):
            asked = self.question(task, example.caption_1, example.caption_2)
            turns.append({"role": "user", "content": asked})
            turns.append({"role": "assistant", "content": example.answer})
        question = self.question(task, caption_1, caption_2)
        return [*turns, {"role": "user", "content": question}]

    @property
    def scaffold(self) -> str:
        """The part of the difference template after the captions: a masked model's answer."""
        return self.difference.rpartition("}")[2].lstrip(" .,:;\n")


@cache
def load(name: str) -> Prompt:
    """Read one prompt file.

    Args:
        name: a file of ``clipdiff/prompts`` without ``.yaml``, or the path of one.

    Raises:
        ConfigError: there is none of that name, or it says something that is not allowed.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        names = sorted(file.stem for file in FOLDER.glob("*.yaml"))
        hint = did_you_mean(name, names)
        raise ConfigError(f"prompt: got '{name}', allowed: {', '.join(names)}, or a path{hint}")
    try:
        return Prompt.model_validate(yaml.safe_load(path.read_text()))
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{path}: not a prompt file: {error}") from error


def render(name: str, task: Task, caption_1: str, caption_2: str = "") -> str:
    """Return what is asked: the template of ``task`` with the captions put in.

    Args:
        name: a prompt file, without ``.yaml``.
        task: what is asked.
        caption_1: caption of the first image, or the name of a class.
        caption_2: caption of the second, for ``difference``.

    Raises:
        ConfigError: there is no such prompt, or it has no such task.
    """
    return load(name).question(task, caption_1, caption_2)


def as_text(turns: list[Turn]) -> str:
    """Return a conversation as one text, for models without a chat template.

    Every question is followed by a space and its answer; the last one waits for it.
    """
    parts, waiting = [], ""
    for turn in turns:
        if turn["role"] == "system":
            parts.append(turn["content"])
        elif turn["role"] == "user":
            waiting = turn["content"]
        else:
            parts.append(f"{waiting} {turn['content']}")
    return "\n\n".join([*parts, waiting])


def _one_line(text: str) -> str:
    """Collapse whitespace, drop control, direction and bracket characters, cut what is endless."""
    visible = "".join(c if c.isprintable() else " " for c in text).translate(_BRACKETS)
    line = " ".join(visible.split())
    return line if len(line) <= CAPTION_CHARACTERS else line[:CAPTION_CHARACTERS].rsplit(" ", 1)[0]
