"""``clipdiff prompt show``: what is printed is what is sent."""

import json

import pytest

from clipdiff.errors import ConfigError, DataError
from clipdiff.llm.generate import generate
from clipdiff.llm.preview import preview
from clipdiff.writers.api import Api
from clipdiff.writers.base import WriterEntry
from clipdiff.writers.file import File


@pytest.fixture
def show(data, settings):
    """Return a function that previews one row."""

    def text(definition: WriterEntry, row: int = 1, task: str = "difference") -> str:
        inputs = data / "data/captions.parquet", data / "data/pairs.parquet"
        return preview(settings(definition, task=task), *inputs, row)

    return text


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
def test_a_server_gets_what_is_shown(show, data, server, settings, endpoint) -> None:
    definition = Api(
        model="m", prompt="llama2_chat", base_url=server.url, endpoint=endpoint, batch=1
    )
    inputs = data / "data/captions.parquet", data / "data/pairs.parquet"
    generate(settings(definition), *inputs, data / "x.parquet")
    text, sent = show(definition), server.bodies[1]
    assert (
        sent["prompt"] == text
        if endpoint == "completions"
        else sent["messages"] == json.loads(text)
    )


def test_local_kinds(show, entry) -> None:
    assert show(entry("llama")).startswith(
        "[INST] How do they differ? First: one big key on white."
    )
    assert "[MASK]" in show(entry("bert"))
    assert "three little keys" in show(entry("t5"))
    assert "three little keys" not in show(entry("gpt2"), row=2, task="rewrite")


def test_what_can_not_be_shown(show, entry) -> None:
    with pytest.raises(DataError, match=r"has no pair 99"):
        show(entry("t5"), row=99)
    with pytest.raises(ConfigError, match="asks nothing"):
        show(File(model="x.csv"))
