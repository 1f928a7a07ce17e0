"""What stands behind a name on the grid's axes: whose answers, and the settings that it changes."""

from clipdiff.config.sections import Config, Filter, Train

PREFIXES = ("rewritten-", "shuffled-")  # of a control's row; no entry's name has a dash


def train_of(config: Config, loss: str) -> Train:
    """Return the section ``train`` as it holds for the cells of an entry of loss_definitions."""
    return config.train.changed_by(config.loss_definitions[loss].train)


def filter_of(config: Config, row: str) -> Filter:
    """Return the section ``filter`` as it holds for a row of the table."""
    entry = config.llm_definitions.get(_entry_name(row))
    return config.filter.changed_by(entry.filter) if entry else config.filter


def asked_llm(config: Config, row: str) -> str | None:
    """Return the entry that is asked for a row's texts; None for ``captions``, ``pretrained``.

    It is ``llama2`` for the rows ``llama2``, ``rewritten-llama2`` and ``shuffled-llama2``, and for
    an entry of kind ``reuse`` of that.
    """
    name = _entry_name(row)
    entry = config.llm_definitions.get(name)
    return entry.model if entry is not None and entry.kind == "reuse" else entry and name


def answers_of(config: Config, row: str) -> str | None:
    """Return the name of the generations that a row's texts are made of; None without any."""
    asked = asked_llm(config, row)
    return f"rewritten-{asked}" if asked and row.startswith("rewritten-") else asked


def writer(config: Config) -> str:
    """Return the LLM whose texts test all cells alike."""
    name = config.evaluate.writer or config.controls.llm
    return asked_llm(config, name) or name


def text_llm(config: Config, row: str) -> str:
    """Return the LLM that writes about classes for a row of the table: its own if it has one."""
    asked = asked_llm(config, row)
    can = asked is not None and config.llm_definitions[asked].kind != "file"
    return asked if can else writer(config)


def _entry_name(row: str) -> str:
    for prefix in PREFIXES:
        row = row.removeprefix(prefix)
    return row
