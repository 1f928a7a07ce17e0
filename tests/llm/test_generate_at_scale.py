"""Generation in bulk: a bad server and two kills, and as many pairs as the paper has."""

import collections
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from clipdiff.writers.api import Api
from clipdiff.writers.causal import Causal

pytestmark = pytest.mark.slow
BUSY = '{"error": {"message": "slow down", "type": "rate_limit"}}'
FAULTS = [
    (429, {"retry-after-ms": "5"}, BUSY),
    (429, {}, BUSY),
    (500, {}, "oops"),
    (503, {"Retry-After": "0"}, BUSY),
    (200, {}, '{"choices": []}'),
    (200, {}, '{"id": "1", "choi'),
    (200, {}, '{"choices": [{"index": 3, "text": "not yours", "finish_reason": "stop"}]}'),
    "reset",
    "half",
    "hang",
]
CONCURRENT = 24
JOB = """
import sys
from pathlib import Path
from clipdiff.config.stages import GenerateSettings
from clipdiff.llm.generate import generate
from clipdiff.writers.served import retries
retries.RETRY_SECONDS = 0.01  # or the test would wait for hours
generate(GenerateSettings.model_validate_json(sys.argv[1]), *map(Path, sys.argv[2:]))
"""
VOLUME = """
import re, sys
from pathlib import Path
from clipdiff.config.stages import GenerateSettings
from clipdiff.llm.generate import Part, generate, generate_part
from clipdiff.writers.base import Answer
from clipdiff.writers.causal import Causal

class Echo:
    def write(self, prompts, seeds, done=()):
        for place, turns in enumerate(prompts):
            yield place, Answer("The first shows " + turns[-1]["content"], "stop", 60, 30)
    def cancel(self): pass
    def close(self): pass

Causal.open = lambda *_: Echo()
settings, paths = GenerateSettings.model_validate_json(sys.argv[1]), [*map(Path, sys.argv[2:])]
for number in (1, 2, 3):
    generate_part(settings, *paths, Part(number, 3))
generate(settings, *paths)
# not ru_maxrss, which begins with that of the process that started this one
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def write_pairs(folder: Path, count: int) -> list[Path]:
    """Write tables of ``count`` pairs of different captions; return the stage's three paths."""
    pairs = pd.DataFrame({"pair_id": range(count)})
    pairs["caption_1"] = [f"picture {row} of a fox on a red background" for row in range(count)]
    pairs["caption_2"] = [f"scene {row} with two tiny bells" for row in range(count)]
    pairs.to_parquet(folder / "pairs.parquet")
    return [folder / "captions.parquet", folder / "pairs.parquet", folder / "generations/x.parquet"]


def test_20_000_pairs_a_fifth_of_faults_and_two_kills(tmp_path, server, settings) -> None:
    draw = random.Random(0)
    server.script = [draw.choice(FAULTS) if draw.random() < 0.2 else None for _ in range(40_000)]
    paths = write_pairs(tmp_path, 20_000)
    definition = Api(
        model="m", prompt="completion", base_url=server.url, batch=CONCURRENT, timeout=1
    )
    stage = settings(definition, shard_rows=512)
    command = [sys.executable, "-c", JOB, stage.model_dump_json(), *map(str, paths)]
    for kill_at in (5_000, 15_000):
        job = subprocess.Popen(command)
        while len(server.bodies) < kill_at and job.poll() is None:
            time.sleep(0.05)
        os.kill(job.pid, signal.SIGKILL)
        job.wait()
    assert not paths[2].exists()
    subprocess.run(command, check=True)
    table = pd.read_parquet(paths[2])
    assert table["pair_id"].tolist() == list(range(20_000))
    expected = "About First: " + pd.read_parquet(paths[1])["caption_1"]
    assert table["text"].tolist() == expected.tolist()
    paid = collections.Counter(server.paid)
    assert len(paid) == 20_000
    twice = sum(count - 1 for count in paid.values())
    assert twice <= 2 * CONCURRENT  # under way when the job was killed


def test_as_many_pairs_as_the_paper_in_little_memory(tmp_path, settings) -> None:
    """499,500 pairs planned, sharded over three jobs and gathered."""
    paths = write_pairs(tmp_path, 499_500)
    stage = settings(Causal(model="echo", prompt="llama2_chat"), shard_rows=4096)
    command = [sys.executable, "-c", VOLUME, stage.model_dump_json(), *map(str, paths)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    kib = int(done.stdout)
    assert kib < 2 * 2**20
    table = pd.read_parquet(paths[2], columns=["pair_id", "text"])
    assert table["pair_id"].tolist() == list(range(499_500))
    assert table["text"].nunique() == 499_500
    facts = json.loads((tmp_path / "generations/x.parts/1of3.json").read_text())
    assert facts["rows"] == 499_500 // 4096 // 3 * 4096 + 4096
