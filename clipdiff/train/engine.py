"""The DeepSpeed engine, from settings; on a GPU or, with gloo, on the CPU."""

import atexit
import logging
import os
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn

from clipdiff.errors import ConfigError, TrainingError
from clipdiff.settings import Train
from clipdiff.train.ranks import Ranks
from clipdiff.train.towers import TrainedTowers

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine

log = logging.getLogger(__name__)

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


def start_ranks(number: int = 1) -> tuple[Ranks, torch.device]:
    """Join the other ranks if torchrun started this process; return its place and its device.

    Raises:
        ConfigError: there are not as many as ``train.ranks`` says.
    """
    local_rank = int(os.environ.setdefault("LOCAL_RANK", "0"))  # DeepSpeed reads it too
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", local_rank) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    else:
        os.environ["DS_ACCELERATOR"] = "cpu"  # else DeepSpeed asks its op builders, one by one
    backend = "nccl" if gpu else "gloo"
    if not dist.is_initialized():
        if "WORLD_SIZE" in os.environ:
            dist.init_process_group(backend)
        else:  # alone: no port that two trainings on one machine could fight for
            dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
        atexit.register(dist.destroy_process_group)  # not sooner: DeepSpeed keeps groups of it
    ranks = Ranks.current()
    if ranks.size != number:
        raise ConfigError(
            f"train.ranks: {number}, but {ranks.size} processes were started; start as many "
            f"(torchrun --nproc-per-node={number}) or change the setting"
        )
    return ranks, device


def make_engine(towers: TrainedTowers, train: Train) -> "DeepSpeedEngine":
    """Wrap the towers in a DeepSpeed engine with a torch optimizer.

    Raises:
        TrainingError: the precision does not run on this machine.
    """
    if train.precision == "fp16" and not torch.cuda.is_available():
        raise TrainingError(
            "train.precision: fp16 needs a GPU, and there is none; use fp32 (or bf16, slowly)"
        )
    if train.offload and train.zero_stage == 0:
        log.warning("train.offload has no effect at train.zero_stage 0; use stage 1, 2 or 3")
    import deepspeed
    from deepspeed.ops import __compatible_ops__

    # DeepSpeed would compile this op at first use: minutes, and a process killed in that build
    # leaves a lock that makes every later run hang. gloo does without.
    __compatible_ops__["deepspeed_shm_comm"] = False
    engine, *_ = deepspeed.initialize(
        model=towers,
        optimizer=make_optimizer(towers, train),
        config=engine_config(train),
        dist_init_required=False,
    )
    return engine


def make_optimizer(module: nn.Module, train: Train) -> torch.optim.Optimizer:
    """Return the configured torch optimizer over the parameters in training."""
    parameters = [each for each in module.parameters() if each.requires_grad]
    return OPTIMIZERS[train.optimizer](parameters, lr=train.lr, weight_decay=train.weight_decay)


def engine_config(train: Train) -> dict[str, Any]:
    """Return DeepSpeed's configuration.

    Weights and optimizer state are fp32 at every precision; 16 bits are autocast's. Batch sizes are
    formal: the loop cuts batches itself, and ``managed_gradient_accumulation`` off keeps DeepSpeed
    from dividing by, or counting, micro batches.
    """
    zero: dict[str, Any] = {"stage": train.zero_stage}
    if train.offload and train.zero_stage > 0:
        zero["offload_optimizer"] = {"device": "cpu"}
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "gradient_clipping": train.clip_grad,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # the CPU Adam would have to be compiled
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }
    if train.precision != "fp32":
        dtype = {"bf16": "bfloat16", "fp16": "float16"}[train.precision]
        config["torch_autocast"] = {"enabled": True, "dtype": dtype}
    return config
