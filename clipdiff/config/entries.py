"""What stands behind the grid's names: rows and cells, whose answers, the settings in force."""

from typing import Protocol

from clipdiff.config.model import Config, Controls
from clipdiff.errors import ConfigError, did_you_mean
from clipdiff.grid import PRETRAINED, Cell, Control, Row
from clipdiff.settings import Filter, Train
from clipdiff.tasks.base import TASKS, TaskEntry


class Axes(Protocol):
    """What spans the grid: a configuration, or what a stage is told of it."""

    @property
    def llms(self) -> list[str]:
        """Entries of llm_definitions."""
        ...

    @property
    def losses(self) -> list[str]:
        """Entries of loss_definitions."""
        ...

    @property
    def seeds(self) -> list[int]:
        """Seeds of a cell."""
        ...

    @property
    def controls(self) -> Controls:
        """The rows beside the grid."""
        ...


def grid_rows(config: Axes) -> list[Row]:
    """Return the rows of the grid itself."""
    return [Row(llm) for llm in config.llms]


def control_rows(config: Axes) -> list[Row]:
    """Return the controls that finetune."""
    controls = [Control(name) for name in config.controls.rows]
    return [Row(config.controls.llm if each.has_llm else "", each) for each in controls]


def trained_cells(config: Axes) -> list[Cell]:
    """Return every cell to train: LLMs x losses x seeds, then the controls."""
    axes = [
        (grid_rows(config), config.seeds),
        (control_rows(config), config.controls.seeds),
    ]
    return [
        Cell(row, loss, str(seed))
        for rows, seeds in axes
        for row in rows
        for loss in config.losses
        for seed in seeds
    ]


def all_cells(config: Axes) -> list[Cell]:
    """Return every cell that is evaluated, the pretrained CLIP first."""
    return [PRETRAINED, *trained_cells(config)]


def check_cell(config: Config, cell: Cell, trains: bool) -> None:
    """Refuse a cell that a configuration can't make.

    Args:
        config: whose entries its names are.
        cell: one of any row, loss and seed, on the grid or not.
        trains: whether it is to be trained, which the pretrained CLIP is not.

    Raises:
        ConfigError: it has a name that is no entry, or no seed.
    """
    if cell.is_pretrained:
        if trains:
            raise ConfigError("--cell: got 'pretrained', which is not trained; name another cell")
        return
    llms, losses = list(config.llm_definitions), list(config.loss_definitions)
    for what, name, entries in (("LLM", cell.row.llm, llms), ("loss", cell.loss, losses)):
        if name and name not in entries:
            hint = did_you_mean(name, entries)
            raise ConfigError(
                f"--cell: got '{cell}', and no {what} is called '{name}'; allowed: "
                f"{', '.join(entries)}{hint}"
            )
    if not cell.seed.isdigit():
        raise ConfigError(f"--cell: got '{cell}', expected a number after 'seed'")


def train_of(config: Config, loss: str) -> Train:
    """Return the section ``train`` as it holds for the cells of an entry of loss_definitions."""
    return config.train.changed_by(config.loss_definitions[loss].train)


def filter_of(config: Config, row: Row) -> Filter:
    """Return the section ``filter`` as it holds for a row."""
    entry = config.llm_definitions.get(row.llm)
    return config.filter.changed_by(entry.filter) if entry else config.filter


def asked_llm(config: Config, row: Row) -> str | None:
    """Return the entry that is asked for a row's texts; None for ``captions``, ``pretrained``.

    It is ``llama2`` for the rows ``llama2``, ``rewritten-llama2`` and ``shuffled-llama2``, and for
    an entry that reuses its answers.
    """
    entry = config.llm_definitions.get(row.llm)
    return None if entry is None else entry.answers_of or row.llm


def answers_of(config: Config, row: Row) -> Row | None:
    """Return the row whose generations a row's texts are made of; None if it has none."""
    asked = asked_llm(config, row)
    if asked is None:
        return None
    return Row(asked, row.control if row.control == Control.REWRITTEN else None)


def writer(config: Config) -> str:
    """Return the LLM whose texts test all cells alike."""
    name = config.evaluate.writer or config.controls.llm
    return asked_llm(config, Row(name)) or name


def text_llm(config: Config, row: Row) -> str:
    """Return the LLM that writes about classes for a row: its own if it has one."""
    asked = asked_llm(config, row)
    can = asked is not None and config.llm_definitions[asked].is_asked
    return asked if asked is not None and can else writer(config)


def task_entries(config: Config) -> dict[str, TaskEntry]:
    """Return the entries of all tasks of all splits, by name, in the order of first use."""
    names = [*config.evaluate.tasks]
    for split in config.evaluate.splits:
        names += config.evaluate.for_split(split).tasks
    entries = config.task_definitions
    return {
        name: entries[name] if name in entries else TASKS.make({}, name)
        for name in dict.fromkeys(names)
    }
