"""The long table: every row of every cell's metrics file."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from clipdiff.errors import DataError
from clipdiff.files import read_json
from clipdiff.grid import Results, Variant

ROWS = pa.schema(
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


def read_metrics(
    files: Results, variants: Sequence[Variant]
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Read the metrics files of all variants, in their order.

    Returns:
        The columns of ``tables/metrics.csv``, and one provenance a variant.

    Raises:
        DataError: a file is missing, no JSON, or its rows are not what ``evaluate`` writes.
    """
    tables, provenances = [], []
    for variant in variants:
        path = files.metrics(variant)
        content = read_json(path)
        try:
            rows = pa.Table.from_pylist(content["rows"], schema=ROWS)
            provenances.append(content["provenance"])
        except (KeyError, TypeError, pa.ArrowException) as error:
            raise DataError(
                f"{path}: not a metrics file of `clipdiff evaluate` ({error}); delete it and "
                "evaluate the cell again"
            ) from error
        if missing := [name for name in ROWS.names[:6] if rows[name].null_count]:
            raise DataError(f"{path}: rows without {missing}; delete it and evaluate again")
        for place, name in enumerate(("llm", "loss", "seed")):
            cell = pa.repeat(getattr(variant, name), rows.num_rows)
            rows = rows.add_column(place, name, cell)
        tables.append(rows)
    return pa.concat_tables(tables).to_pandas(), provenances
