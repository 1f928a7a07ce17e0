"""Rows and cells: one parser and one printer for the names that files and options have."""

from dataclasses import dataclass
from enum import StrEnum

from clipdiff.errors import ConfigError

NONE = "none"


class Control(StrEnum):
    """Rows beside the grid's LLMs."""

    PRETRAINED = "pretrained"
    """The CLIP before any finetuning; has neither loss nor seed."""
    CAPTIONS = "captions"
    """Finetuned on the captions themselves."""
    REWRITTEN = "rewritten"
    """On captions that an LLM has reworded."""
    SHUFFLED = "shuffled"
    """On an LLM's differences, given to the wrong pairs."""

    @property
    def has_llm(self) -> bool:
        """Whether the texts are an LLM's."""
        return self in (Control.REWRITTEN, Control.SHUFFLED)


@dataclass(frozen=True)
class Row:
    """Whose texts: those of ``llm``, an entry's name, as they are or as a control has them.

    ``str(row)`` is its name in files and tables: ``llama2``, ``captions``, ``shuffled-llama2``.
    """

    llm: str = ""
    control: Control | None = None

    def __str__(self) -> str:
        if self.control is None:
            return self.llm
        return f"{self.control}-{self.llm}" if self.control.has_llm else str(self.control)

    @classmethod
    def parse(cls, name: str) -> "Row":
        """Read a row's name. Entries can't have the name of a control (``is_reserved``)."""
        if name in (Control.PRETRAINED, Control.CAPTIONS):
            return cls(control=Control(name))
        control, dash, llm = name.partition("-")
        if dash and control in (Control.REWRITTEN, Control.SHUFFLED):
            return cls(llm, Control(control))
        return cls(name)

    @property
    def in_grid(self) -> bool:
        """Whether it is a row of the grid itself: no control, nor ``pretrained``."""
        return self.control is None

    @property
    def kind(self) -> str:
        """``pretrained``, ``control``, or ``cell`` for a row of the grid itself."""
        if self.in_grid:
            return "cell"
        return "pretrained" if self.control == Control.PRETRAINED else "control"


def is_reserved(name: str) -> bool:
    """Return whether an entry can't have this name, as it would read as a control."""
    return name in (NONE, *Control) or Row.parse(name).control is not None


@dataclass(frozen=True)
class Cell:
    """A row with a loss and a seed; those of ``pretrained`` are ``none``.

    ``str(cell)`` is its name in files and options: ``bert/hinge/seed0``.
    """

    row: Row
    loss: str = NONE
    seed: str = NONE

    def __str__(self) -> str:
        return f"{self.row}/{self.loss}/seed{self.seed}"

    @property
    def is_pretrained(self) -> bool:
        """True for the CLIP before any finetuning."""
        return self.row.control == Control.PRETRAINED

    @property
    def arm(self) -> tuple[str, str]:
        """The names of row and loss: what the seeds of a grid are averaged over."""
        return str(self.row), self.loss

    @classmethod
    def of(cls, row: str, loss: str, seed: str | int) -> "Cell":
        """Return the cell of three names."""
        return cls(Row.parse(row), loss, str(seed))

    @classmethod
    def parse(cls, text: str) -> "Cell":
        """Read ``bert/hinge/seed0`` or ``llm=bert,loss=hinge,seed=0``; ``pretrained`` stands alone.

        Raises:
            ConfigError: a part is missing or has another name.
        """
        if "=" in text:
            named = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
            if named == {"llm": Control.PRETRAINED}:
                return PRETRAINED
            parts = [named.pop(name, "") for name in ("llm", "loss", "seed")]
            parts = [] if named else parts
        elif text == Control.PRETRAINED:
            return PRETRAINED
        else:
            parts = text.split("/")
            if len(parts) == 3:
                parts[2] = parts[2].removeprefix("seed")
        if len(parts) != 3 or not all(parts):
            raise ConfigError(
                f"cell '{text}': expected ROW/LOSS/seedNUMBER such as bert/hinge/seed0 "
                "(or llm=bert,loss=hinge,seed=0), or pretrained"
            )
        return cls.of(*parts)


PRETRAINED = Cell(Row(control=Control.PRETRAINED))
