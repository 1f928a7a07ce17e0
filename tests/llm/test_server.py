"""A real local server, ``transformers serve``: it answers, and it always ends with its job."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from clipdiff.settings import LLM, Generate
from clipdiff.errors import GenerationError, ModelError
from clipdiff import prompts, server
from clipdiff.llm.generate import generate
from clipdiff.llm.registry import open_writer

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
        server.LocalServer("tests/llm", False)


@pytest.mark.slow
def test_a_server_that_cannot_load_says_why(tmp_path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nonsense"}')
    with pytest.raises(GenerationError, match=r"transformers serve ended(.|\n)*Unrecognized"):
        server.LocalServer(str(tmp_path), False)


@pytest.mark.slow
def test_generate_through_a_local_server_equals_the_same_model_here(data, entry, settings) -> None:
    served = entry("gpt2", kind="api", batch=4)
    output = data / "generations/x.parquet"
    generate(settings(served), data / "data/captions.parquet", data / "data/pairs.parquet", output)
    there = pd.read_parquet(output)
    here_path = data / "here/x.parquet"
    inputs = data / "data/captions.parquet", data / "data/pairs.parquet"
    generate(settings(entry("gpt2")), *inputs, here_path)
    here = pd.read_parquet(here_path)
    assert there["text"].tolist() == here["text"].tolist()
    assert there["prompt_tokens"].tolist() == here["prompt_tokens"].tolist()


@pytest.mark.slow
def test_sampling_through_a_local_server_follows_the_seed(entry, asked) -> None:
    prompt = prompts.load("completion")
    turns = [prompt.turns("difference", *pair) for pair in asked[:3]]
    writer = open_writer(entry("gpt2", kind="api"), Generate(temperature=1.0), prompt)
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


@pytest.mark.slow
def test_a_killed_job_asks_again_only_what_is_missing(data, server, settings) -> None:
    """kill -9 in the second shard, then a rerun: no answer is paid twice."""
    definition = LLM(kind="api", model="m", prompt="completion", base_url=server.url, batch=1)
    chosen = settings(definition)
    paths = [data / "data/captions.parquet", data / "data/pairs.parquet", data / "g/x.parquet"]
    code = (
        "import sys; from pathlib import Path; from clipdiff.config.stages import GenerateSettings;"
        "from clipdiff.llm.generate import generate;"
        "generate(GenerateSettings.model_validate_json(sys.argv[1]), *map(Path, sys.argv[2:]))"
    )
    server.hang_after = 4
    job = subprocess.Popen([sys.executable, "-c", code, chosen.model_dump_json(), *map(str, paths)])
    deadline = time.monotonic() + 120
    while len(server.bodies) < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    server.hang_after = None
    assert len(server.bodies) == 5
    generate(chosen, *paths)
    assert len(server.bodies) == 5 + 3  # the fifth had no answer
    table = pd.read_parquet(paths[2])
    assert table["pair_id"].tolist() == list(range(7))
