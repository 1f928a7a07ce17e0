"""What a training reads from SLURM's environment, and that it leaves in time."""

import signal
import time

import pytest
import torch

from clipdiff.errors import ConfigError, TrainingError
from clipdiff.train.preemption import MARGIN, TIME_ENDS, Preemption
from clipdiff.train.ranks import Ranks
from clipdiff.train.slurm import Nodes

STEP = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_NODEID": "1",
    "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.1",
}


@pytest.fixture
def in_step(monkeypatch):
    """Sets the variables that srun sets."""

    def enter(**changes: str) -> None:
        for name, value in (STEP | changes).items():
            monkeypatch.setenv(name, value)

    return enter


def test_two_nodes_share_the_ranks_and_meet_at_the_first(in_step):
    in_step()
    nodes = Nodes.of_step()
    assert (nodes.count, nodes.index, nodes.address) == (2, 1, "10.0.0.1")
    assert nodes.ranks_here(8) == 4


def test_two_steps_of_a_job_meet_at_different_ports(in_step):
    in_step()
    first = Nodes.of_step().port
    in_step(SLURM_STEP_ID="1")
    assert Nodes.of_step().port != first


def test_one_node_needs_no_meeting(in_step):
    in_step(SLURM_STEP_NUM_NODES="1", SLURM_STEP_NUM_TASKS="1")
    assert Nodes.of_step() is None


def test_ranks_that_do_not_divide_are_refused(in_step):
    in_step()
    with pytest.raises(ConfigError, match="got 3 on 2 nodes, expected a multiple of 2"):
        Nodes.of_step().ranks_here(3)


def test_several_processes_a_node_are_refused(in_step):
    in_step(SLURM_STEP_NUM_TASKS="8")
    with pytest.raises(ConfigError, match="start one a node"):
        Nodes.of_step()


@pytest.fixture
def leaving() -> Preemption:
    """One process that has two hours and saves in ten seconds."""
    made = Preemption(Ranks(), torch.device("cpu"))
    made.end, made.saving = time.time() + 7200, 10.0
    return made


def test_it_leaves_while_there_is_time_to_save(leaving):
    with leaving:
        assert leaving.asked(synchronise=False) == 0
        leaving.end = time.time() + MARGIN + 25
        assert leaving.asked(synchronise=False) == 0
        leaving.end = time.time() + MARGIN + 15
        assert leaving.asked(synchronise=False) == TIME_ENDS


def test_a_signal_counts_more_than_the_clock(leaving):
    with leaving:
        leaving.end = time.time()
        signal.raise_signal(signal.SIGTERM)
        assert leaving.asked(synchronise=False) == signal.SIGTERM


def test_a_slice_too_short_for_one_step_is_an_error(leaving):
    leaving.end = time.time() + MARGIN / 2
    with pytest.raises(TrainingError, match="raise the runtime of rule train"), leaving:
        pass
