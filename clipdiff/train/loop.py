"""The training loop: steps in a fixed order, logged, saved, and left in time."""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clipdiff.errors import TrainingError
from clipdiff.progress import Progress
from clipdiff.settings import Train
from clipdiff.train.batches import epoch_batches, steps_per_epoch
from clipdiff.train.checkpoint import Checkpoints
from clipdiff.train.preemption import Preemption
from clipdiff.train.schedule import learning_rate
from clipdiff.train.step import Stepper, StepResult
from clipdiff.train.trackers import TrainLog


@dataclass
class Loop:
    """Everything a run of steps needs.

    ``lengths`` (N,) int64 are the texts' tokens, which the order of training depends on;
    ``folder`` is TensorBoard's.
    """

    train: Train
    seed: int
    lengths: Tensor
    stepper: Stepper
    checkpoints: Checkpoints
    preemption: Preemption
    folder: Path
    log: TrainLog = field(init=False)
    unchecked: list[Tensor] = field(init=False, default_factory=list)  # losses, on the device
    saved: int = field(init=False, default=0)  # step of the newest checkpoint
    clock: float = field(init=False, default=0.0)  # time of the last logged step
    counted: int = field(init=False, default=0)  # pairs since then

    def run(self) -> list[dict[str, Any]]:
        """Train to the end, from the newest checkpoint if there is one; return the log's lines.

        Raises:
            TrainingError: a loss is not finite.
            SystemExit: a signal or the end of the job's time asks to leave; a checkpoint is saved.
        """
        each = steps_per_epoch(len(self.lengths), self.train.batch)
        total = each * self.train.epochs
        engine, loss = self.stepper.engine, self.stepper.loss
        start, rows = self.checkpoints.restore(engine, loss, self.stepper.loss_optimizer)
        first_rank = self.stepper.ranks.rank == 0
        self.log = TrainLog(self.folder if first_rank else None, rows, start)
        self.saved, self.clock = start, time.monotonic()
        with Progress("training steps", total, start, not first_rank) as progress, self.preemption:
            for step in range(start, total):
                if step == start or step % each == 0:
                    batches = epoch_batches(self.lengths, self.train.batch, self.seed, step // each)
                self._step(step, total, batches[step % each], step // each)
                progress.advance(note=self._note())
        self.log.close()
        return self.log.rows

    def _step(self, step: int, total: int, rows: Tensor, epoch: int) -> None:
        """Take one step, then log, save or leave where it is time."""
        done = step + 1
        logs = done % self.train.log_every == 0 or done == total
        lr = learning_rate(self.train, step, total, epoch)
        result = self.stepper.step(rows, lr, with_accuracy=logs)
        self.unchecked.append(result.loss)
        self.counted += len(rows)
        if logs:
            self._log(done, epoch, lr, result)
        reason = self.preemption.asked(synchronise=logs) if done < total else 0
        if reason or (done % self.train.checkpoint_every == 0 and done < total):
            self._save(done)
        if reason:
            self.log.close()
            self.preemption.leave(reason, done)

    def _log(self, done: int, epoch: int, lr: float, result: StepResult) -> None:
        """Fetch what the device computed: the only place, with saving, that waits for it."""
        self._check(done)
        row: dict[str, Any] = {"step": done, "epoch": epoch, "loss": float(result.loss), "lr": lr}
        row["mean_cosine"], row["mean_norm"] = float(result.mean_cosine), float(result.mean_norm)
        if result.accuracy is not None:
            names = ("acc1_text_to_difference", "acc1_difference_to_text")
            row |= dict(zip(names, map(float, result.accuracy), strict=True))
        numbers = self.stepper.loss.named_parameters()  # such as logit_scale
        row |= {name: float(each.detach()) for name, each in numbers if each.numel() == 1}
        now = time.monotonic()
        self.log.add(row, pairs_per_second=self.counted / (now - self.clock))
        self.clock, self.counted = now, 0

    def _save(self, done: int) -> None:
        self._check(done)
        stepper, began = self.stepper, time.monotonic()
        self.checkpoints.save(
            done, stepper.engine, stepper.loss, stepper.loss_optimizer, self.log.rows
        )
        self.preemption.saving = max(self.preemption.saving, time.monotonic() - began)
        self.saved = done

    def _check(self, done: int) -> None:
        """Look at the losses since the last look.

        Raises:
            TrainingError: one is not finite; nothing that came after it has been saved.
        """
        values = torch.stack(self.unchecked).tolist() if self.unchecked else []
        first = done - len(values) + 1
        for step, value in enumerate(values, start=first):
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss of step {step} is {value}; lower train.lr (now {self.train.lr:g}), "
                    f"set train.clip_grad (now {self.train.clip_grad:g}) or use train.precision: "
                    f"fp32. The newest checkpoint is that of step {self.saved}"
                )
        self.unchecked.clear()

    def _note(self) -> str:
        rows = self.log.rows
        return f"loss {rows[-1]['loss']:.4f}" if rows else ""
