"""A real local server, ``transformers serve``: it answers, and it always ends with its job."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from clipdiff import prompts
from clipdiff.errors import GenerationError, ModelError
from clipdiff.settings import Generate
from clipdiff.writers.served.server import LocalServer

JOB = """
import os, sys, time
from clipdiff.writers.served.server import LocalServer
print(LocalServer(sys.argv[1], False).base_url, flush=True)
time.sleep(600)
"""


def answers(url: str) -> bool:
    """Say whether a server is there."""
    try:
        with urllib.request.urlopen(url.replace("/v1", "/health"), timeout=2) as reply:
            return reply.status == 200
    except OSError:
        return False


def test_a_folder_that_is_no_model_is_refused_before_it_starts() -> None:
    with pytest.raises(ModelError, match=r"lacks config\.json"):
        LocalServer("tests/writers", False)


@pytest.mark.slow
def test_a_server_that_cannot_load_says_why(tmp_path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nonsense"}')
    with pytest.raises(GenerationError, match=r"transformers serve ended(.|\n)*Unrecognized"):
        LocalServer(str(tmp_path), False)


@pytest.mark.slow
def test_sampling_through_a_local_server_follows_the_seed(entry, asked) -> None:
    prompt = prompts.load("completion")
    turns = [prompt.turns("difference", *pair) for pair in asked[:3]]
    writer = entry("gpt2", kind="api").open(Generate(temperature=1.0), prompt)
    try:
        first = dict(writer.write(turns, [5, 6, 7]))
        again = dict(writer.write(turns[::-1], [7, 6, 5]))
        other = dict(writer.write(turns, [8, 9, 10]))
    finally:
        writer.close()
    assert first == {2 - place: answer for place, answer in again.items()}
    assert first != other


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's PR_SET_PDEATHSIG")
def test_the_server_dies_with_a_job_that_is_killed(models: Path) -> None:
    job = subprocess.Popen(
        [sys.executable, "-c", JOB, str(models / "gpt2")], stdout=subprocess.PIPE, text=True
    )
    try:
        url = job.stdout.readline().strip()
        assert answers(url)
    finally:
        os.kill(job.pid, signal.SIGKILL)
        job.wait()
    deadline = time.monotonic() + 10
    while answers(url) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not answers(url)
