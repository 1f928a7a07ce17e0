"""Does a writer answer every prompt, and the same prompt and seed with the same answer?"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from clipdiff import prompts
from clipdiff.prompts import Prompt, Turn
from clipdiff.settings import Generate
from clipdiff.testing.entry_checks import check_entry
from clipdiff.writers.base import Answer, Writer, WriterEntry, row_seed

CAPTIONS = (
    ("two small foxes on a red background", "a huge dog in front of a blue wall"),
    ("one big key on white", "three little keys, everything behind is white"),
    ("a bus", "an emoji scene: one medium-sized bus, everything behind is yellow, and no more"),
    ("a green picture with two tiny bells", "two tiny bells on a green background"),
    ("two owls on purple", "one owl on purple"),
)
UNANSWERED = 3  # of the prompts, where the others have an answer already


def check_writer(entry: WriterEntry, pairs: pd.DataFrame | None = None) -> None:
    """Check an entry of ``llm_definitions``: its model is loaded, or its server asked, a few times.

    Args:
        entry: with the settings to check.
        pairs: rows of ``data/pairs.parquet``, for an entry that has texts of its own.

    Raises:
        AssertionError: says what does not hold.
    """
    check_entry(entry)
    for fine, what in entry.findings():
        assert fine, f"clipdiff check would find: {what}"
    identity = entry.identity()
    json.dumps(identity)
    both = sorted(entry.compute_fields() & set(identity))
    assert not both, f"identity() holds {both}, which say how and not what is answered"
    if entry.is_asked:
        _check_asked(entry)
    elif entry.answers_of is None:
        assert pairs is not None, "an entry that is not asked is checked with pairs"
        _check_own(entry, pairs)


def _check_asked(entry: WriterEntry) -> None:
    name = entry.prompt_name
    assert name, "an entry that is asked has to name its prompt (prompt_name)"
    prompt = prompts.load(name)
    conversations = [prompt.turns("difference", *captions) for captions in CAPTIONS]
    assert entry.preview(conversations[0]).strip(), "preview() of a conversation is empty"
    asking = _Asking(entry, prompt, conversations)
    for temperature in (0.0, 1.0):
        generate = Generate(temperature=temperature)
        answers = asking.answers(generate)
        _check_answers(answers)
        again = asking.answers(generate)
        assert again == answers, (
            f"at temperature {temperature:g} the same prompts and seeds had other answers when the "
            f"model was opened again: {_first_difference(answers, again)}"
        )
        turned = asking.answers(generate, order=range(len(CAPTIONS) - 1, -1, -1))
        assert turned == answers, (
            f"at temperature {temperature:g} an answer depends on the order of the prompts: "
            f"{_first_difference(answers, turned)}"
        )
        _check_done(asking, generate, answers)
    _check_cancel(asking)


@dataclass(frozen=True)
class _Asking:
    """The questions of the check, put to an entry."""

    entry: WriterEntry
    prompt: Prompt
    conversations: list[list[Turn]]

    def open(self, generate: Generate) -> Writer:
        return self.entry.open(generate, self.prompt)

    def ordered(self, order: Sequence[int]) -> tuple[list[list[Turn]], list[int]]:
        """Return conversations and seeds in an order."""
        return [self.conversations[i] for i in order], [row_seed(0, i) for i in order]

    def answers(
        self, generate: Generate, order: Sequence[int] | None = None, done: Sequence[int] = ()
    ) -> dict[int, Answer]:
        """Open, ask in an order, close; return the answers by the prompts' own places."""
        order = range(len(self.conversations)) if order is None else order
        writer = self.open(generate)
        try:
            pairs = list(writer.write(*self.ordered(order), frozenset(done)))
        finally:
            writer.close()
        places = [place for place, _ in pairs]
        assert len(set(places)) == len(places), f"a prompt was answered twice: places {places}"
        assert set(places) <= set(range(len(order))), f"places {places} are not those of prompts"
        return {order[place]: answer for place, answer in sorted(pairs, key=lambda pair: pair[0])}


def _check_answers(answers: dict[int, Answer]) -> None:
    lacking = sorted(set(range(len(CAPTIONS))) - set(answers))
    assert not lacking, f"the prompts at the places {lacking} have no answer"
    for place, answer in answers.items():
        assert isinstance(answer, Answer), f"answer {place} is a {type(answer)}, no Answer"
        assert isinstance(answer.text, str), f"answer {place} has no text: {answer}"
        assert answer.finish_reason in ("stop", "length"), (
            f"answer {place} ended by {answer.finish_reason!r}, neither 'stop' nor 'length'"
        )
        tokens = (answer.prompt_tokens, answer.completion_tokens)
        assert min(tokens) >= 0, f"answer {place} counts {tokens} tokens"


def _check_done(asking: _Asking, generate: Generate, answers: dict[int, Answer]) -> None:
    """What has an answer already is left out, or answered the same again."""
    done = range(UNANSWERED, len(CAPTIONS))
    rest = asking.answers(generate, done=done)
    lacking = sorted(set(range(UNANSWERED)) - set(rest))
    assert not lacking, f"beside prompts that are done, those at {lacking} had no answer"
    for place, answer in rest.items():
        assert answer == answers[place], (
            f"beside prompts that are done, prompt {place} was answered otherwise: "
            f"{answers[place].text!r}, then {answer.text!r}"
        )


def _check_cancel(asking: _Asking) -> None:
    """After cancel() the generator ends, and close() still works."""
    writer = asking.open(Generate())
    try:
        generator = writer.write(*asking.ordered(range(len(CAPTIONS))))
        first, _ = next(iter(generator))
        writer.cancel()
        rest = [place for place, _ in generator]
    finally:
        writer.close()
    assert len({first, *rest}) == 1 + len(rest), "after cancel() a prompt was answered twice"


def _check_own(entry: WriterEntry, pairs: pd.DataFrame) -> None:
    table = entry.own_answers(pairs)
    assert list(table.columns) == ["pair_id", "text"], (
        f"own_answers() has the columns {list(table.columns)}, not pair_id and text"
    )
    assert len(table), "own_answers() has no text of any of the pairs"
    places = pd.Index(pairs["pair_id"]).get_indexer(table["pair_id"])
    assert (places >= 0).all(), "own_answers() has texts of pairs that there are not"
    assert (places[1:] > places[:-1]).all(), "own_answers() is not in the order of the pairs"
    assert entry.own_answers(pairs).equals(table), "own_answers() differs from call to call"


def _first_difference(before: dict[int, Answer], after: dict[int, Answer]) -> str:
    for place, answer in before.items():
        if after.get(place) != answer:
            return f"prompt {place}: {answer}, then {after.get(place)}"
    return f"places {sorted(before)}, then {sorted(after)}"
