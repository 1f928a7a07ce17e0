"""What a cluster does to jobs, done to real ones: each run ends with the uninterrupted weights."""

import os
import signal

import pytest
from checkout import BIN
from login_node import WEIGHTS, Login
from one_machine import Cluster, said, wait_for

pytestmark = pytest.mark.slow


def now(job: str) -> None:
    """Start a job that was queued again at once; SLURM would wait two minutes."""
    wait_for("the job to be queued again", lambda: "PENDING" in state(job), 120)
    assert said("scontrol", "update", f"JobId={job}", "StartTime=now") is not None


def state(job: str) -> str:
    """Return a job's state in SLURM's words."""
    return said("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")


def test_a_cancelled_job_is_tried_again_from_its_checkpoint(login, prepared):
    running = login.start(WEIGHTS)
    job = login.wait_for_checkpoint()
    said("scancel", job)
    login.finish(running)
    assert state(job) == "CANCELLED"
    assert "SLURM status is: 'CANCELLED'" in login.said()
    assert "going on from" in login.train_log()
    assert login.same_weights(prepared)


def test_a_dead_node_costs_no_retry(cluster: Cluster, login: Login, prepared: Login):
    running = login.start(WEIGHTS, "--retries=0")
    job = login.wait_for_checkpoint()
    node = said("squeue", "--noheader", f"--jobs={job}", "--format=%N")
    cluster.kill_node(node)
    now(job)
    login.finish(running)
    cluster.start_node(node)
    assert "going on from" in login.train_log()
    assert login.same_weights(prepared)
    wait_for("both nodes", lambda: cluster.states() == ["idle", "idle"])


def test_before_its_time_ends_a_training_leaves_and_goes_on_in_a_new_slice(login, prepared):
    running = login.start(WEIGHTS, "--retries=0", "--set-resources", "train:runtime=2")
    job = login.wait_for_checkpoint()
    training = login.processes("train")[0]
    training.suspend()  # the machine is slow for a while
    left = ("squeue", "--noheader", f"--jobs={job}", "--format=%L")
    wait_for("the last minute", lambda: said(*left).startswith("0:"), 120)
    training.resume()
    wait_for("leaving", lambda: "the job's time ends: saved after step" in login.train_log())
    now(job)
    login.finish(running)
    assert "going on from" in login.train_log()
    assert login.same_weights(prepared)


def test_a_job_that_hangs_runs_out_of_time_and_is_tried_again(login):
    metrics = "results/metrics/pretrained/none/seednone.json"
    running = login.start(metrics, "--set-resources", "evaluate:runtime=1")
    wait_for("the evaluation", lambda: bool(login.processes("evaluate")), 120, every=0.02)
    login.processes("evaluate")[0].suspend()
    login.finish(running)
    assert "DUE TO TIME LIMIT" in login.said()
    assert (login.folder / metrics).is_file()


def test_a_job_killed_for_its_memory_gets_more(login, prepared):
    more = "train:mem_mb=300 if attempt == 1 else 4000"
    login.finish(login.start(WEIGHTS, "--set-resources", more))
    logs = (login.folder / "logs/slurm").rglob("*.log")
    assert any("exceeded memory limit" in log.read_text() for log in logs)
    assert login.same_weights(prepared)


def test_a_job_that_fails_once_is_tried_again(login, prepared, tmp_path):
    program = tmp_path / "bin/clipdiff"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        f"mkdir {tmp_path}/failed 2>/dev/null && echo the network is away >&2 && exit 1\n"
        f'exec {BIN}/clipdiff "$@"\n'
    )
    program.chmod(0o755)
    login.environment["PATH"] = f"{program.parent}{os.pathsep}{login.environment['PATH']}"
    login.finish(login.start(WEIGHTS))
    assert "the network is away" in login.said()
    assert login.same_weights(prepared)


def test_control_c_ends_the_jobs_and_the_next_run_goes_on(login, prepared):
    running = login.start(WEIGHTS)
    login.wait_for_checkpoint()
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=60) != 0
    wait_for("the job to end", lambda: not said("squeue", "--noheader"), 60)
    assert "SIGTERM: saved after step" in login.train_log()
    assert not (login.folder / WEIGHTS).exists()
    login.finish(login.start(WEIGHTS))
    assert "going on from" in login.train_log()
    assert login.same_weights(prepared)


def test_a_killed_snakemake_leaves_a_job_and_the_next_one_waits_for_it(login, prepared):
    running = login.start(WEIGHTS)
    login.wait_for_checkpoint()
    training = login.processes("train")[0]
    training.suspend()  # so that the two meet
    running.kill()
    running.wait()
    login.snakemake("--unlock")
    running = login.start(WEIGHTS)
    wait_for("the next job", lambda: "another job works here" in login.train_log(), 120)
    training.resume()
    login.finish(running)
    assert login.same_weights(prepared)


def test_a_second_snakemake_is_refused_and_harms_nothing(login, prepared):
    running = login.start(WEIGHTS)
    login.wait_for_checkpoint()
    second = login.start(WEIGHTS)
    assert second.wait(timeout=60) != 0
    assert "Directory cannot be locked" in login.said()
    login.finish(running)
    assert login.same_weights(prepared)
