"""The training logs of all cells: loss by step."""

from collections.abc import Sequence

import pandas as pd

from clipdiff.errors import DataError
from clipdiff.grid import Cell, Layout


def read_logs(layout: Layout, cells: Sequence[Cell]) -> pd.DataFrame:
    """Return the columns ``llm, loss, seed, step, value`` of all finetuned cells.

    Raises:
        DataError: a log is missing or its lines are no JSON with ``step`` and ``loss``.
    """
    tables = []
    for cell in cells:
        if cell.is_pretrained:
            continue
        path = layout.train_log(cell)
        try:
            lines = pd.read_json(path, lines=True)[["step", "loss"]]
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{path}: no training log with step and loss ({error}); train the cell again"
            ) from error
        lines = lines.rename(columns={"loss": "value"})
        tables.append(lines.assign(llm=str(cell.row), loss=cell.loss, seed=cell.seed))
    return pd.concat(tables, ignore_index=True)
