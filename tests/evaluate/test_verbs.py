"""The verbs ``evaluate`` and ``questions``, told what the workflow tells them."""

import json

import pandas as pd

from clipdiff.cli import evaluate, questions
from clipdiff.config.stages import QuestionsSettings
from clipdiff.files import read_json, read_parquet


def test_evaluate_reads_and_writes_where_results_lie(bench, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the verb sets it; restored after the test
    settings = bench.settings(tasks=["clip_score"])
    model = bench.layout.model(settings.cell)
    model.parent.mkdir(parents=True, exist_ok=True)
    model.symlink_to(bench.cell)
    compute = {"evaluate": {"threads": 1}, "task_definitions": {"clip_score": {}}}
    told = json.dumps(settings.result()), json.dumps(compute)
    evaluate.command(settings=told[0], compute=told[1], results=bench.root)
    rows, items = bench.run(settings)
    held = read_json(bench.layout.metrics(settings.cell))
    pd.testing.assert_frame_equal(pd.DataFrame(held["rows"]), rows)
    pd.testing.assert_frame_equal(read_parquet(bench.layout.items(settings.cell)), items)


def test_questions_are_written_where_results_lie(bench):
    whole = bench.settings(tasks=["geometry"], class_differences="llm")
    settings = QuestionsSettings(clip=whole.clip, evaluate=whole.evaluate, tasks=whole.tasks)
    questions.command(settings=json.dumps(settings.result()), results=bench.root)
    table = read_parquet(bench.layout.questions)
    assert len(table)
    assert table["class_2"].notna().all()
