"""What each stage is told: a slice of the configuration, so that a stage reruns only for its own.

Raise a stage's ``version`` when its code changes what it writes: Snakemake then remakes it.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from clipdiff.config.entries import (
    all_cells,
    answers_of,
    asked_llm,
    check_cell,
    filter_of,
    task_entries,
    text_llm,
    train_of,
    writer,
)
from clipdiff.config.model import AnyLoss, AnyTask, AnyWriter, Config, Controls, Data
from clipdiff.config.stage_base import StageSettings
from clipdiff.errors import ConfigError
from clipdiff.grid import Cell, Control, Row
from clipdiff.settings import (
    Clip,
    Evaluate,
    Filter,
    Gather,
    Generate,
    Price,
    Train,
    Values,
)


class PrepareSettings(StageSettings):
    """Settings of ``clipdiff prepare``."""

    version: int = 2
    data: Data

    def compute_paths(self) -> dict[str, list[str]]:
        """What data sets say of it."""
        return {"data": ["data"]}


def prepare_settings(config: Config) -> PrepareSettings:
    """Slice for ``prepare``."""
    return PrepareSettings(data=config.data)


class EmbedSettings(StageSettings):
    """Settings of ``clipdiff embed``."""

    clip: Clip

    def compute_paths(self) -> dict[str, list[str]]:
        """How many images at once."""
        return {"clip": ["clip"]}


def embed_settings(config: Config) -> EmbedSettings:
    """Slice for ``embed``."""
    return EmbedSettings(clip=config.clip)


class GenerateSettings(StageSettings):
    """Settings of ``clipdiff generate``: one LLM, writing differences or caption rewrites."""

    llm: str
    task: Literal["difference", "rewrite"]
    definition: AnyWriter
    generate: Generate

    def compute_paths(self) -> dict[str, list[str]]:
        """The entry's own, and the section's."""
        entry = Row.parse(self.llm).llm
        return {"definition": [f"llm_definitions/{entry}"], "generate": ["generate"]}


def generate_settings(config: Config, row: Row) -> GenerateSettings:
    """Slice for ``generate``; the row is an LLM's own, or its rewritten captions.

    Raises:
        ConfigError: no LLM is asked for that row, as it reuses the answers of another.
    """
    answers = answers_of(config, row)
    if answers != row:
        whose = f"; it takes the answers of '{answers}': name that" if answers else ""
        raise ConfigError(f"--llm: no LLM is asked for '{row}' itself{whose}")
    return GenerateSettings(
        llm=str(row),
        task="rewrite" if row.control == Control.REWRITTEN else "difference",
        definition=config.llm_definitions[row.llm],
        generate=config.generate,
    )


def answer_settings(config: Config, row: Row) -> GenerateSettings:
    """Slice for ``answer``: the same, where no pair is asked about in both orders."""
    settings = generate_settings(config, row)
    return settings.model_copy(
        update={"generate": settings.generate.model_copy(update={"swapped": 0})}
    )


class FilterSettings(StageSettings):
    """Settings of ``clipdiff filter``; ``llm`` is a row's name.

    ``answers`` names the generations that its texts are made of; None for ``captions``.
    """

    version: int = 2
    llm: str
    answers: str | None = None
    filter: Filter
    clip: Clip
    seed: int


def filter_settings(config: Config, row: Row) -> FilterSettings:
    """Slice for ``filter``."""
    answers = answers_of(config, row)
    return FilterSettings(
        llm=str(row),
        answers=None if answers is None else str(answers),
        filter=filter_of(config, row),
        clip=config.clip,
        seed=config.data.seed,
    )


class TrainSettings(StageSettings):
    """Settings of ``clipdiff train``: one cell."""

    llm: str
    loss_name: str
    seed: int
    clip: Clip
    loss: AnyLoss
    train: Train

    @property
    def cell(self) -> Cell:
        """The cell."""
        return Cell.of(self.llm, self.loss_name, self.seed)

    def compute_paths(self) -> dict[str, list[str]]:
        """An entry of loss_definitions may change how its cells are trained, too."""
        entry = f"loss_definitions/{self.loss_name}"
        return {"clip": ["clip"], "loss": [entry], "train": ["train", f"{entry}/train"]}


def train_settings(config: Config, cell: Cell) -> TrainSettings:
    """Slice for ``train``.

    Raises:
        ConfigError: there is no such cell to train.
    """
    check_cell(config, cell, trains=True)
    return TrainSettings(
        llm=str(cell.row),
        loss_name=cell.loss,
        seed=int(cell.seed),
        clip=config.clip,
        loss=config.loss_definitions[cell.loss],
        train=train_of(config, cell.loss),
    )


class QuestionsSettings(StageSettings):
    """Settings of ``clipdiff questions``: what the evaluation asks LLMs."""

    clip: Clip
    evaluate: Evaluate
    tasks: dict[str, AnyTask]

    def compute_paths(self) -> dict[str, list[str]]:
        """How many images at once."""
        return {"clip": ["clip"], "evaluate": ["evaluate"]}


def questions_settings(config: Config) -> QuestionsSettings:
    """Slice for ``questions``; what only measuring needs is blanked out."""
    unused: Values = {
        "wise_alphas": [1.0], "resamples": 1, "confidence": 0.5, "writer": None,
    }  # fmt: skip
    return QuestionsSettings(
        clip=config.clip,
        evaluate=config.evaluate.model_copy(update=unused),
        tasks={
            name: task.asking() for name, task in task_entries(config).items() if task.text_tables
        },
    )


class EvaluateSettings(StageSettings):
    """Settings of ``clipdiff evaluate``: one cell; ``pretrained`` has loss and seed ``none``.

    ``text_llm`` writes about classes for this cell, ``writer`` about pairs for all of them; both
    are empty where no text of theirs is read.
    """

    version: int = 3
    llm: str
    loss_name: str
    seed: str
    text_llm: str
    writer: str
    image_tower_trained: bool
    clip: Clip
    reference_clip: Clip
    evaluate: Evaluate
    tasks: dict[str, AnyTask]

    @property
    def cell(self) -> Cell:
        """The cell."""
        return Cell.of(self.llm, self.loss_name, self.seed)

    def compute_paths(self) -> dict[str, list[str]]:
        """Both CLIPs, and the section."""
        return {name: [name] for name in ("clip", "reference_clip", "evaluate")}

    def with_compute(self, compute: Mapping[str, Any]) -> Self:
        """Set the compute fields of tasks, too."""
        own = compute.get("task_definitions", {})
        tasks = {name: task.computed_by(own.get(name, {})) for name, task in self.tasks.items()}
        return super().with_compute(compute).model_copy(update={"tasks": tasks})


def evaluate_settings(config: Config, cell: Cell) -> EvaluateSettings:
    """Slice for ``evaluate``.

    Raises:
        ConfigError: there is no such cell.
    """
    check_cell(config, cell, trains=False)
    trained = not cell.is_pretrained and train_of(config, cell.loss).trains_images
    return EvaluateSettings(
        llm=str(cell.row),
        loss_name=cell.loss,
        seed=cell.seed,
        text_llm=text_llm(config, cell.row) if config.evaluate.reads_class_texts else "",
        writer=writer(config) if config.evaluate.reads_pair_texts else "",
        image_tower_trained=trained,
        clip=config.clip,
        reference_clip=config.reference_clip,
        evaluate=config.evaluate.model_copy(update={"writer": None}),  # who it is stands above
        tasks=task_entries(config),
    )


class GatherSettings(StageSettings):
    """Settings of ``clipdiff gather``.

    ``prices`` are those of the entries that have one; ``answers`` says who was asked for the texts
    of each of ``llms``.
    """

    version: int = 2
    llms: list[str]
    losses: list[str]
    seeds: list[int]
    controls: Controls
    evaluate: Evaluate
    tasks: dict[str, AnyTask]
    gather: Gather
    prices: dict[str, Price]
    answers: dict[str, str]

    @property
    def cells(self) -> list[Cell]:
        """Every cell that was evaluated, the pretrained CLIP first."""
        return all_cells(self)


def gather_settings(config: Config) -> GatherSettings:
    """Slice for ``gather``."""
    entries = {name: config.llm_definitions[name] for name in config.llms}
    return GatherSettings(
        llms=config.llms,
        losses=config.losses,
        seeds=config.seeds,
        controls=config.controls,
        evaluate=config.evaluate.model_copy(update={"writer": None}),
        tasks=task_entries(config),
        gather=config.gather,
        prices={name: entry.token_price for name, entry in entries.items() if entry.token_price},
        answers={name: asked_llm(config, Row(name)) or name for name in config.llms},
    )
