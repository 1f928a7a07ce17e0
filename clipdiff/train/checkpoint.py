"""Checkpoints: whole or not at all, tied to their settings and data, found again after a kill."""

import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer

from clipdiff.errors import DataError
from clipdiff.files import read_json, write_json
from clipdiff.settings import Train
from clipdiff.train.ranks import Ranks

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine

log = logging.getLogger(__name__)

STATE = "state.json"
TAG = "engine"
SCRATCH = ".unfinished"
FULL = 2**20  # bytes free, below which a failed write is the disk's fault


class Checkpoints:
    """The checkpoints of one cell: folders ``step00000050`` with DeepSpeed's files of every rank.

    A checkpoint is written into a scratch folder and renamed when all ranks are done, so that a
    half-written one is never taken for a whole one.

    Args:
        folder: where they lie; every rank must see it.
        identity: hash of settings and data; a checkpoint of another identity is discarded.
        train: how many are kept, and how the optimizer's state lies over the ranks: a checkpoint
            of another partition is kept for when that is in use again, but not read.
        ranks: this process among the others.
    """

    def __init__(self, folder: Path, identity: str, train: Train, ranks: Ranks):
        self.folder, self.identity, self.ranks = folder, identity, ranks
        self.keep = train.keep_checkpoints
        self.partition = {"ranks": ranks.size, "zero_stage": train.zero_stage}
        if ranks.rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(folder / SCRATCH, ignore_errors=True)
            for path in self._whole():
                if read_json(path / STATE)["identity"] != identity:
                    log.info("%s: discarded, its settings or data are others", path)
                    shutil.rmtree(path)
        ranks.barrier()

    def save(
        self,
        step: int,
        engine: "DeepSpeedEngine",
        loss: nn.Module,
        loss_optimizer: Optimizer | None,
        rows: list[dict[str, Any]],
    ) -> None:
        """Keep everything that a later process needs to go on after ``step`` steps.

        Args:
            step: steps taken.
            engine: holds the towers and the optimizer.
            loss, loss_optimizer: the loss's own parameters and their optimizer.
            rows: lines of the training log so far.

        Raises:
            DataError: the disk is full; what was saved before stays.
        """
        target = self.folder / f"step{step:08d}"
        if target in self._readable():
            return
        try:
            self._write(target, step, engine, loss, loss_optimizer, rows)
        except (OSError, RuntimeError) as error:  # torch wraps what the system said
            if shutil.disk_usage(self.folder).free > FULL:
                raise
            raise DataError(f"{self.folder}: the disk is full; free some space") from error

    def _write(
        self,
        target: Path,
        step: int,
        engine: "DeepSpeedEngine",
        loss: nn.Module,
        loss_optimizer: Optimizer | None,
        rows: list[dict[str, Any]],
    ) -> None:
        scratch = self.folder / SCRATCH
        optimizer = None if loss_optimizer is None else loss_optimizer.state_dict()
        engine.save_checkpoint(
            str(scratch),
            tag=TAG,
            client_state={"loss": loss.state_dict(), "loss_optimizer": optimizer},
            save_latest=False,
            exclude_frozen_parameters=True,
        )
        self.ranks.barrier()
        if self.ranks.rank == 0:
            for file in filter(Path.is_file, scratch.rglob("*")):
                _sync(file)
            state = {"step": step, "identity": self.identity, "rows": rows}
            write_json(scratch / STATE, state | self.partition)
            shutil.rmtree(target, ignore_errors=True)  # the same step, over other ranks
            scratch.rename(target)
            for old in self._readable()[: -self.keep]:
                shutil.rmtree(old)
        self.ranks.barrier()

    def restore(
        self, engine: "DeepSpeedEngine", loss: nn.Module, loss_optimizer: Optimizer | None
    ) -> tuple[int, list[dict[str, Any]]]:
        """Bring back the newest checkpoint; return its step and log lines, or 0 and none."""
        readable = self._readable()
        for path in self._whole():
            if path not in readable:
                log.warning(
                    "%s: stays there, but is not gone on from: it was saved with %s, and this "
                    "training has %s",
                    *(path, _words(read_json(path / STATE)), _words(self.partition)),
                )
        if not readable:
            return 0, []
        newest = readable[-1]
        state = read_json(newest / STATE)
        _, own = engine.load_checkpoint(str(newest), tag=TAG, load_module_strict=False)
        loss.load_state_dict(own["loss"])
        if loss_optimizer is not None:
            loss_optimizer.load_state_dict(own["loss_optimizer"])
        log.info("going on from %s", newest)
        return state["step"], state["rows"]

    def _readable(self) -> list[Path]:
        """Return those that this process's ranks can read, oldest first."""
        return [path for path in self._whole() if self._has_partition(read_json(path / STATE))]

    def _has_partition(self, state: dict[str, Any]) -> bool:
        """Return whether the optimizer's state lies as here; at stage 0 every rank has it all."""
        alike = self.partition if self.partition["zero_stage"] else {"zero_stage": 0}
        return all(state.get(name) == value for name, value in alike.items())

    def _whole(self) -> list[Path]:
        """Return the whole checkpoints, oldest first."""
        return sorted(path.parent for path in self.folder.glob(f"step*/{STATE}"))


def _words(partition: dict[str, Any]) -> str:
    return f"train.zero_stage {partition.get('zero_stage')} on {partition.get('ranks')} rank(s)"


def _sync(path: Path) -> None:
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())
