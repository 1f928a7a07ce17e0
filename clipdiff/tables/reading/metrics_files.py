"""The long table: every row of every cell's metrics file."""

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from clipdiff.errors import DataError
from clipdiff.files import read_json
from clipdiff.grid import Cell, Layout
from clipdiff.provenance import Provenance

METRIC_ROWS = pa.schema(
    [
        ("task", pa.string()),
        ("split", pa.string()),
        ("weights", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("n", pa.int64()),
        ("stderr", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("higher_is_better", pa.bool_()),
    ]
)


def read_metrics(layout: Layout, cells: Sequence[Cell]) -> tuple[pd.DataFrame, list[Provenance]]:
    """Read the metrics files of all cells, in their order.

    Returns:
        The columns of ``tables/metrics.csv``, and one provenance a cell.

    Raises:
        DataError: a file is missing, not JSON, or not what ``evaluate`` writes.
    """
    tables, provenances = [], []
    for cell in cells:
        path = layout.metrics(cell)
        content = read_json(path)
        try:
            rows = pa.Table.from_pylist(content["rows"], schema=METRIC_ROWS)
            provenances.append(Provenance.parse(content["provenance"], path))
        except (KeyError, TypeError, pa.ArrowException) as error:
            raise DataError(
                f"{path}: not a metrics file of `clipdiff evaluate` ({error}); delete it and "
                "evaluate the cell again"
            ) from error
        if missing := [name for name in METRIC_ROWS.names[:6] if rows[name].null_count]:
            raise DataError(f"{path}: rows without {missing}; delete it and evaluate again")
        names = {"llm": str(cell.row), "loss": cell.loss, "seed": cell.seed}
        for place, (column, name) in enumerate(names.items()):
            rows = rows.add_column(place, column, pa.repeat(name, rows.num_rows))
        tables.append(rows)
    return pa.concat_tables(tables).to_pandas(), provenances
