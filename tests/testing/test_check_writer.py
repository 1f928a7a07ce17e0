"""The kit's check of writers: what is built in passes, what is broken does not."""

import pandas as pd
import pytest

from clipdiff.testing import check_writer
from clipdiff.writers.base import WRITERS, Answer, AskedWriter

NOT_HERE = {"vllm"}  # it needs a GPU and a package of its own


def test_every_kind_is_checked_here():
    assert set(WRITERS.kinds) == {"causal", "seq2seq", "masked", "api", "file", "reuse"} | NOT_HERE


@pytest.mark.parametrize("name", ["llama", "gpt2", "t5", "bert"])
def test_local_models_pass(entry, name):
    check_writer(entry(name))


def test_a_server_passes(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    values = {"kind": "api", "model": "m", "base_url": server.url, "prompt": "completion"}
    check_writer(WRITERS.make(values))


def test_what_is_not_asked_passes(tmp_path):
    pairs = pd.DataFrame({"pair_id": [0, 1, 2], "image_id_1": [4, 5, 6], "image_id_2": [5, 6, 4]})
    pairs[["pair_id"]].assign(difference="the first is red").to_csv(tmp_path / "own.csv")
    check_writer(WRITERS.make({"kind": "file", "model": str(tmp_path / "own.csv")}), pairs)
    check_writer(WRITERS.make({"kind": "reuse", "model": "llama2"}))


class Rule:
    """Says how long the question is; the broken ones change one thing of it."""

    def __init__(self):
        self.cancelled = False

    def write(self, prompts, seeds, done=frozenset()):
        for place, (turns, seed) in enumerate(zip(prompts, seeds, strict=True)):
            if self.cancelled:
                return
            if place not in done:
                yield place, self.answer(place, turns[-1]["content"], seed)

    def answer(self, place, question, seed):
        return Answer(f"{len(question)} {seed}", "stop", len(question), 1)

    def cancel(self):
        self.cancelled = True

    def close(self):
        """Hold nothing."""


class ByPlace(Rule):
    def answer(self, place, question, seed):
        return super().answer(place, question, seed + place)


class Restless(Rule):
    opened = 0

    def __init__(self):
        super().__init__()
        Restless.opened += 1

    def answer(self, place, question, seed):
        return super().answer(place, question, Restless.opened)


class Forgetful(Rule):
    def write(self, prompts, seeds, done=frozenset()):
        yield from list(super().write(prompts, seeds, done))[1:]


class TwiceDone(Rule):
    def write(self, prompts, seeds, done=frozenset()):
        for place, answer in super().write(prompts, seeds):
            yield place, Answer("again", "stop", 1, 1) if place in done else answer


class Repeats(Rule):
    def write(self, prompts, seeds, done=frozenset()):
        for answer in super().write(prompts, seeds, done):
            yield answer
            yield answer


class Strange(Rule):
    def answer(self, place, question, seed):
        return Answer("text", "done", 1, 1)


class Entry(AskedWriter):
    """A writer of the class that a test names."""

    kind: str = "rule"
    model: str = "none"
    writer_class: str = "Rule"

    def open(self, generate, prompt):
        return globals()[self.writer_class]()

    def preview(self, turns):
        return turns[-1]["content"]


class ByHow(Entry):
    def identity(self):
        return {**self.result(), "batch": self.batch}


def test_a_sound_writer_passes():
    check_writer(Entry())


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (Entry(writer_class="ByPlace"), "depends on the order of the prompts"),
        (Entry(writer_class="Restless"), "other answers when the model was opened again"),
        (Entry(writer_class="Forgetful"), r"prompts at the places \[0\] have no answer"),
        (Entry(writer_class="TwiceDone"), "prompt 3 was answered otherwise"),
        (Entry(writer_class="Repeats"), "a prompt was answered twice"),
        (Entry(writer_class="Strange"), "neither 'stop' nor 'length'"),
        (ByHow(), r"identity\(\) holds \['batch'\], which say how"),
    ],
)
def test_broken_writers_fail(entry, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_writer(entry)
