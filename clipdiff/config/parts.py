"""The shares of an LLM's questions that several jobs answer: the inputs of its answers."""

from pathlib import Path

from clipdiff.config.stages import GenerateSettings
from clipdiff.files import read_json, write_json
from clipdiff.provenance import settings_hash


def part_names(settings: GenerateSettings, record: Path) -> list[str]:
    """Return the names of the shares, such as ``2of8``; none where one job asks everything.

    Answers keep the shares that they came in for as long as their settings are the same. So another
    ``generate.jobs`` is for answers that are not there yet, and makes none again.

    Args:
        settings: of the LLM.
        record: what :func:`record_parts` wrote, if it did (``Layout.parts_record``).
    """
    if record.is_file():
        facts = read_json(record)
        if facts["settings_hash"] == settings_hash(settings):
            return [str(name) for name in facts["parts"]]
    jobs = settings.generate.jobs
    if jobs == 1 or not settings.definition.is_asked:
        return []
    return [f"{part}of{jobs}" for part in range(1, jobs + 1)]


def record_parts(settings: GenerateSettings, record: Path) -> None:
    """Write down in which shares the answers came that are whole now."""
    facts = {"settings_hash": settings_hash(settings), "parts": part_names(settings, record)}
    write_json(record, facts)
