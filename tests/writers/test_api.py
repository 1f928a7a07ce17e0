"""The API kind against a real HTTP server that fails on purpose."""

import email.utils
import json
import logging
import time

import pytest

from clipdiff import prompts
from clipdiff.errors import GenerationError
from clipdiff.settings import Generate
from clipdiff.writers.api import Api
from clipdiff.writers.served import retries

KEY = "sk-very-secret-123"
BUSY = '{"error": {"message": "slow down", "type": "rate_limit"}}'


@pytest.fixture
def ask(server, asked, monkeypatch):
    """Return a function that asks the server about the pairs and returns the answers."""
    monkeypatch.setenv("THE_KEY", KEY)

    def answers(prompt="completion", temperature=0.0, **changes):
        values = {"model": "m", "base_url": server.url, "key_env": "THE_KEY", "batch": 4}
        asking = prompts.load(prompt)
        entry = Api(prompt=prompt, **(values | changes))
        writer = entry.open(Generate(temperature=temperature), asking)
        turns = [asking.turns("difference", *pair) for pair in asked]
        try:
            answers = dict(writer.write(turns, list(range(len(turns)))))
            return [answers[place] for place in range(len(turns))]
        finally:
            writer.close()

    return answers


def test_answers_belong_to_their_questions(ask, asked, server) -> None:
    written = ask()
    assert [a.text for a in written] == [f"About First: {first}" for first, _ in asked]
    assert {(a.finish_reason, a.prompt_tokens, a.completion_tokens) for a in written} == {
        ("stop", 7, 5)
    }
    body = server.bodies[0]
    assert (body["model"], body["temperature"], body["stop"]) == ("m", 0.0, ["\n"])
    assert "seed" not in body
    assert server.keys[0] == f"Bearer {KEY}"


def test_chat_endpoint_and_seeds(ask, asked, server) -> None:
    written = ask(prompt="llama2_chat", endpoint="chat", temperature=0.7, batch=1)
    assert [a.text for a in written] == [f"About First: {first}" for first, _ in asked]
    assert [body["seed"] for body in server.bodies] == list(range(7))
    assert server.bodies[0]["messages"][0]["role"] == "system"


@pytest.mark.parametrize(
    "reply",
    [
        (429, {"retry-after-ms": "20"}, BUSY),
        (500, {"retry-after-ms": "20"}, "oops"),
        (503, {"retry-after-ms": "20"}, BUSY),
        (200, {}, '{"choices": []}'),
        (200, {}, '{"id": "1", "choi'),
        (200, {}, '{"choices": [{"index": 3, "text": "not yours", "finish_reason": "stop"}]}'),
        "reset",
        "half",
        "hang",
    ],
    ids=["429", "500", "503", "empty", "json", "index", "reset", "half", "hang"],
)
def test_passing_failures_are_asked_again(ask, asked, server, reply, monkeypatch) -> None:
    monkeypatch.setattr(retries, "RETRY_SECONDS", 0.01)
    server.script = [reply, None, reply]
    assert [a.text for a in ask(timeout=0.5)] == [f"About First: {first}" for first, _ in asked]
    assert len(server.bodies) == len(asked) + 2


def test_retry_after_is_honoured(ask, server) -> None:
    server.script = [(429, {"Retry-After": "1"}, BUSY)]
    began = time.monotonic()
    ask()
    assert time.monotonic() - began >= 1


def test_retry_after_may_be_a_date() -> None:
    soon = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert 28 < retries.seconds_asked({"retry-after": soon}) <= 30
    assert retries.seconds_asked({"retry-after": "soon"}) is None
    assert retries.seconds_asked({}) is None


def test_a_used_up_quota_stops_at_once(ask, server) -> None:
    told = '{"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}'
    server.script = [None, (429, {}, told)]
    with pytest.raises(GenerationError, match=r"the quota is used up: .*Finished answers are kept"):
        ask(batch=1)
    assert len(server.bodies) == 2


def test_requests_and_tokens_a_minute_are_limited(ask, server) -> None:
    """Seven requests: 600 a minute leave 0.1 s between two; 7,200 tokens a minute too (12 each)."""
    for limit in (
        {"requests_per_minute": 600},
        {"requests_per_minute": 600, "batch": 7},  # not seven at once
        {"tokens_per_minute": 7200},
    ):
        began = time.monotonic()
        ask(**({"batch": 1} | limit))
        assert time.monotonic() - began >= 0.6


def test_a_server_that_stays_down(ask, server, monkeypatch) -> None:
    monkeypatch.setattr(retries, "MAX_RETRIES", 1)
    server.script = [(500, {"retry-after-ms": "5"}, "oops")] * 40
    with pytest.raises(GenerationError, match=r"failed 2 times in a row.*run again"):
        ask()


def test_a_refused_key_stops_at_once_and_stays_secret(ask, server, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    told = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}})
    server.script = [(401, {}, told)] * 40
    with pytest.raises(GenerationError, match=r"refuses the key.*THE_KEY") as caught:
        ask(batch=1)
    assert KEY not in str(caught.value) + caplog.text
    assert caught.value.__cause__ is None
    assert len(server.bodies) == 1


def test_a_missing_key_is_named(ask, monkeypatch) -> None:
    monkeypatch.delenv("THE_KEY")
    with pytest.raises(GenerationError, match="no API key; set the environment variable THE_KEY"):
        ask(base_url="https://api.example.org/v1")


def test_a_key_of_a_file_that_others_cannot_read(ask, server, tmp_path) -> None:
    path = tmp_path / "key"
    path.write_text("sk-from-a-file\n")
    path.chmod(0o640)
    with pytest.raises(GenerationError, match=r"others can read it; run `chmod 600"):
        ask(key_file=str(path))
    path.chmod(0o600)
    ask(key_file=str(path))
    assert set(server.keys) == {"Bearer sk-from-a-file"}
    with pytest.raises(GenerationError, match=r"key_file: .*gone: No such file"):
        ask(key_file=str(tmp_path / "gone"))


def test_a_prompt_too_long_for_the_server(ask, server) -> None:
    told = '{"error": {"message": "maximum context length is 4097 tokens"}}'
    server.script = [(400, {}, told)]
    written = ask(batch=1)
    assert (written[0].text, written[0].finish_reason) == ("", "length")
    assert all(answer.text for answer in written[1:])


def test_a_refused_request_is_explained(ask, server) -> None:
    server.script = [(404, {}, '{"error": {"message": "no model m"}}')] * 40
    with pytest.raises(GenerationError, match=r"no model m.*check model"):
        ask(batch=1)
