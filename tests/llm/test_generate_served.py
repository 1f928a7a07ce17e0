"""The generate stage against servers: a local one, and one that hangs while the job is killed."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from clipdiff.llm.generate import generate
from clipdiff.writers.api import Api


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
def test_a_killed_job_asks_again_only_what_is_missing(data, server, settings) -> None:
    """kill -9 in the second shard, then a rerun: no answer is paid twice."""
    stage = settings(Api(model="m", prompt="completion", base_url=server.url, batch=1))
    paths = [data / "data/captions.parquet", data / "data/pairs.parquet", data / "g/x.parquet"]
    code = (
        "import sys; from pathlib import Path; from clipdiff.config.stages import GenerateSettings;"
        "from clipdiff.llm.generate import generate;"
        "generate(GenerateSettings.model_validate_json(sys.argv[1]), *map(Path, sys.argv[2:]))"
    )
    server.hang_after = 4
    job = subprocess.Popen([sys.executable, "-c", code, stage.model_dump_json(), *map(str, paths)])
    deadline = time.monotonic() + 120
    while len(server.bodies) < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    server.hang_after = None
    assert len(server.bodies) == 5
    generate(stage, *paths)
    assert len(server.bodies) == 5 + 3  # the fifth had no answer
    table = pd.read_parquet(paths[2])
    assert table["pair_id"].tolist() == list(range(7))
