"""``clipdiff train``."""

import os
import sys
from pathlib import Path

from clipdiff.cli import options as o
from clipdiff.config import Config
from clipdiff.config.stages import TrainSettings, train_settings
from clipdiff.grid import Results, Variant
from clipdiff.train.slurm import Nodes


def command(
    variant: o.VariantText = None,
    config: o.ConfigFiles = o.DEFAULT_CONFIG,
    settings: o.SettingsJson = None,
    results: o.ResultsFolder = o.DEFAULT_RESULTS,
) -> None:
    """Finetune CLIP for one cell of the grid; run again after a kill, it resumes."""

    def cut(whole: Config) -> TrainSettings:
        return train_settings(whole, o.chosen_variant(variant))

    chosen = o.stage_settings(TrainSettings, settings, config, cut)
    os.environ["OMP_NUM_THREADS"] = str(chosen.train.threads)
    if "WORLD_SIZE" not in os.environ:
        _start_ranks(chosen, results)
    from clipdiff.train.run import train

    files, cell = Results(results), Variant(chosen.llm, chosen.loss_name, str(chosen.seed))
    train(
        chosen,
        captions=files.captions,
        embeds=files.image_embeds,
        differences=files.differences(cell.llm),
        output=files.model(cell),
        checkpoints=files.checkpoints(cell),
    )


def _start_ranks(chosen: TrainSettings, results: Path) -> None:
    """Become torchrun where there are several ranks; over several nodes, one of its agents.

    Raises:
        ConfigError: the ranks don't divide by the nodes.
    """
    nodes, ranks = Nodes.of_step(), chosen.train.ranks
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
    launch += ["-m", "clipdiff.cli", "train"]
    launch += ["--settings", chosen.model_dump_json(), "--results", str(results)]
    os.execv(sys.executable, launch)  # signals reach torchrun, with no process between
