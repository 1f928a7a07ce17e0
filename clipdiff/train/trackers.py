"""The training log: lines for ``train_log.jsonl``, and TensorBoard."""

import json
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from clipdiff.files import written_whole


class TrainLog:
    """Collects one line a logged step, and shows each in TensorBoard.

    Lines hold nothing that depends on the clock, so a resumed run writes the same file.

    Args:
        folder: of TensorBoard's events; None (all ranks but the first) keeps them out.
        rows: lines of an earlier process that this one goes on from.
        step: steps that it had taken.
    """

    def __init__(self, folder: Path | None, rows: list[dict[str, Any]], step: int):
        self.rows = rows
        self.writer = SummaryWriter(str(folder), purge_step=step + 1) if folder else None

    def add(self, row: dict[str, Any], **measured: float) -> None:
        """Add a line with a ``step``; ``measured`` goes to TensorBoard only."""
        self.rows.append(row)
        if self.writer is not None:
            for name, value in {**row, **measured}.items():
                if name != "step":
                    self.writer.add_scalar(f"train/{name}", value, row["step"])

    def close(self) -> None:
        """Write TensorBoard's events out."""
        if self.writer is not None:
            self.writer.close()


def write_train_log(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write ``train_log.jsonl``."""
    with written_whole(path) as scratch:
        scratch.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
