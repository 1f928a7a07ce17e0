"""What every task is made of: the settings of an entry, and what it makes of the embeddings.

An entry's ``on`` makes a task for one split; ``evaluate`` encodes the texts of all tasks and splits
once for each weight setting and then lets every task measure.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, TypeVar

from PIL.Image import Image

from clipdiff.registry import Entry, Registry
from clipdiff.settings import Evaluate
from clipdiff.tasks.measuring.metrics import Metric
from clipdiff.tasks.measuring.splits import Split
from clipdiff.tasks.texts.evaluation_questions import EvaluationQuestion

if TYPE_CHECKING:
    from torch import Tensor

    from clipdiff.tasks.clip_score import Unclip


class TextEmbeds:
    """L2-normalised embeddings (T, D) of distinct texts, looked up by text."""

    def __init__(self, texts: Sequence[str], text_embeds: "Tensor"):
        self.places = {text: place for place, text in enumerate(texts)}
        self.text_embeds = text_embeds

    def of(self, texts: Iterable[str]) -> "Tensor":
        """Return (N, D) float32 text_embeds of N texts, repeats allowed."""
        return self.text_embeds[[self.places[text] for text in texts]]


@dataclass(frozen=True)
class Painted:
    """N images made of embeddings, and the image_embeds (N, D) that the judge makes of them."""

    images: list[Image]
    image_embeds: "Tensor"


Paint = Callable[["Unclip", "Tensor", Sequence[int]], Painted]
"""Turns embeddings (N, D) of the cell into images, by a decoder and N random seeds."""


@dataclass(frozen=True)
class View:
    """What one model makes of one split: image_embeds (n, D) float32 in the split's order.

    ``validation_embeds`` (v, D) are those of the split on which a task makes its choices. A judge
    can ``paint``.
    """

    text_embeds: TextEmbeds
    image_embeds: "Tensor"
    validation_embeds: "Tensor | None" = None
    paint: Paint | None = None


@dataclass(frozen=True)
class Validation:
    """The split on which a task makes its choices, as the CLIP sees it before finetuning.

    ``image_embeds`` (v, D); ``encode`` gives the text_embeds (T, D) of T texts while a task is
    being made.
    """

    split: Split
    image_embeds: "Tensor"
    encode: Callable[[Sequence[str]], "Tensor"]


@dataclass(frozen=True)
class ItemText:
    """The text of an item, and what it is about, to tell whether it is still the same item.

    ``ids`` are those of its images, or of its classes (then ``classes`` names them).
    """

    text: str
    ids: tuple[int, ...]
    classes: tuple[str, ...] = ()


Needed = TypeVar("Needed")


def required(choice: Needed | None) -> Needed:
    """Return what a task that ``chooses`` is given.

    Raises:
        TypeError: its maker did not look at ``chooses``.
    """
    if choice is None:
        raise TypeError("a task that chooses has to be given its validation split")
    return choice


class Task(Protocol):
    """One task on one split, its items chosen."""

    def texts(self) -> list[str]:
        """Return the texts that the cell's text tower has to encode."""
        ...

    def reference_texts(self) -> list[str]:
        """Return the texts that the reference CLIP has to encode; none where there is no judge."""
        ...

    def measure(self, view: View, reference: View) -> list[Metric]:
        """Measure one weight setting of a cell, with the reference CLIP as the judge."""
        ...

    def item_texts(self, task: str, metric: str) -> dict[int, ItemText]:
        """Return the text that scored each item, by item id; empty where it takes a model to tell.

        Args:
            task, metric: as in the metrics files.
        """
        ...


@dataclass(frozen=True)
class Measure:
    """One metric that the tables compare; ``task`` and ``metric`` name it in the metrics files.

    ``family`` heads the tables that it stands in. ``main``: the report answers its questions by
    it. ``grouped``: it is the mean over the tasks of its kind (``difference/size``, ...), which
    lie in the items file. ``independent``: items are right or wrong and no two share an image, so
    McNemar's test fits. ``about`` explains it to the report's reader.
    """

    name: str
    task: str
    metric: str
    title: str
    family: str
    main: bool = False
    grouped: bool = False
    independent: bool = False
    about: str = ""

    def holds(self, task: str) -> bool:
        """Return whether a task's items are items of this measure."""
        if not self.grouped:
            return task == self.task
        return task.startswith(self.task.split("/")[0] + "/") and task != self.task


class TaskEntry(Entry):
    """One entry of ``task_definitions``: what is measured on a split."""

    room: ClassVar[str] = "clipdiff.tasks"
    task: ClassVar[str] = ""
    """Its name in the metrics files, where parts of it are ``name/part``."""
    measures: ClassVar[tuple[Measure, ...]] = ()
    """What the tables and the report compare of it."""
    text_tables: ClassVar[frozenset[str]] = frozenset()
    """Those of ``grid.layout.TEXT_TABLES`` that it reads where ``evaluate`` names them."""
    asks_by: ClassVar[frozenset[str]] = frozenset()
    """Those of its settings that decide what LLMs are asked for it."""
    chooses: ClassVar[bool] = False
    """Whether it makes choices, on a validation split of the same classes."""
    needs_trained_images: ClassVar[bool] = False
    """Whether it says something new only of cells whose image tower was trained."""
    items_are_classes: ClassVar[bool] = False
    """Whether its items rest on classes, whose ids stand in the items' image columns."""
    without_text: ClassVar[str] = "its task does not tell texts"
    """Why an item's text can't be told, where ``item_texts`` has none."""

    def on(self, split: Split, evaluate: Evaluate, validation: Validation | None = None) -> Task:
        """Make the task for one split: choose its items, so that they are every cell's.

        Args:
            split: its images.
            evaluate: the section as it holds for the split, tables of texts as paths.
            validation: where it makes its choices, if it makes any.

        Raises:
            ConfigError, DataError: the split lacks what the task needs.
        """
        raise NotImplementedError(f"{type(self).__name__} makes no task")

    def questions(
        self, split: Split, evaluate: Evaluate, validation: Validation | None = None
    ) -> Iterator[EvaluationQuestion]:
        """Yield what LLMs are asked for the task's texts on one split, where ``evaluate`` says so.

        Args:
            split, validation: as in ``on``.
            evaluate: the section as it holds for the split.

        Raises:
            DataError: the split lacks what LLMs write from.
        """
        yield from ()

    def asking(self) -> Self:
        """Return the entry with defaults for all that does not decide what LLMs are asked."""
        fields = type(self).model_fields
        unused = [name for name in fields if name not in {"kind", *self.asks_by}]
        defaults = {
            name: fields[name].get_default(call_default_factory=True, validated_data={})
            for name in unused
            if not fields[name].is_required()
        }
        return self.model_copy(update=defaults)

    @classmethod
    def is_of(cls, task: str) -> bool:
        """Return whether a task of the metrics files is one of this kind."""
        return task == cls.task or task.startswith(f"{cls.task}/")


TASKS = Registry(TaskEntry)
