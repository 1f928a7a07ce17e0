"""``clipdiff train``."""

import json
import os
import sys
from pathlib import Path

from clipdiff.cli import options as o
from clipdiff.config import Config
from clipdiff.config.stages import TrainSettings, train_settings
from clipdiff.train.slurm import Nodes


def command(
    cell: o.CellText = None,
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    compute: o.ComputeJson = None,
    results: o.ResultsFolder = None,
) -> None:
    """Finetune CLIP for one cell of the grid; run again after a kill, it resumes."""

    def cut(whole: Config) -> TrainSettings:
        return train_settings(whole, o.parse_cell(cell))

    stage = o.stage_settings(TrainSettings, settings, compute, config, cut)
    os.environ["OMP_NUM_THREADS"] = str(stage.train.threads)
    layout = o.layout(results, config)
    if "WORLD_SIZE" not in os.environ:
        _start_ranks(stage, o.compute_json(compute, settings, config), layout.root)
    from clipdiff.train.run import train

    train(
        stage,
        captions=layout.captions,
        embeds=layout.image_embeds,
        differences=layout.differences(stage.cell.row),
        output=layout.model(stage.cell),
        checkpoints=layout.checkpoints(stage.cell),
    )


def _start_ranks(stage: TrainSettings, compute: str, results: Path) -> None:
    """Become torchrun if there are several ranks; over several nodes, one of its agents.

    Raises:
        ConfigError: the ranks don't divide by the nodes.
    """
    nodes, ranks = Nodes.of_step(), stage.train.ranks
    where = ["--standalone", f"--nproc-per-node={ranks}"]
    if nodes is not None:
        where = [f"--nnodes={nodes.count}", f"--node-rank={nodes.index}"]
        where += [f"--master-addr={nodes.address}", f"--master-port={nodes.port}"]
        where += [f"--nproc-per-node={nodes.ranks_here(ranks)}"]
    if ranks == 1:
        return
    launch = [sys.executable, "-m", "torch.distributed.run", *where]
    # a scheduler's warning has to reach the ranks, which save and leave
    launch += ["--signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"]
    launch += ["-m", "clipdiff.cli", "train", "--results", str(results)]
    launch += ["--settings", json.dumps(stage.result()), "--compute", compute]
    os.execv(sys.executable, launch)  # signals reach torchrun, with no process between
