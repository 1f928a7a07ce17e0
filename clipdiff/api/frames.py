"""The frames that notebooks get: which columns they have, and of which types.

Names are categories in the order in which they come, numbers float64, counts int64, flags bool. A
number that is missing is NaN; an id or a count that may be missing is of pandas' nullable type.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import union_categoricals

from clipdiff.errors import DataError

Columns = Mapping[str, str]
"""Type of each column, by name."""

CELL: Columns = dict.fromkeys(("llm", "loss", "seed"), "category")
MEASURED: Columns = dict.fromkeys(("task", "split", "weights", "metric"), "category")

METRICS: Columns = {
    **CELL,
    **MEASURED,
    "value": "float64",
    "n": "int64",
    **dict.fromkeys(("stderr", "ci_low", "ci_high"), "float64"),
    "higher_is_better": "bool",
}
TESTS: Columns = {
    **dict.fromkeys(("kind", "first", "second"), "category"),
    **MEASURED,
    **dict.fromkeys(("n", "runs"), "int64"),
    **dict.fromkeys(("value", "value_low", "value_high", "gain", "stderr"), "float64"),
    **dict.fromkeys(("ci_low", "ci_high", "p", "mcnemar_p", "p_holm"), "float64"),
    "survives": "bool",
}
SUMMARY: Columns = {
    **dict.fromkeys(("llm", "loss", "kind"), "category"),
    **MEASURED,
    "seeds": "int64",
    **dict.fromkeys(("mean", "sd", "ci_low", "ci_high"), "float64"),
    **dict.fromkeys(("gain", "gain_low", "gain_high", "p", "p_holm"), "float64"),
    **dict.fromkeys(("survives", "best"), "bool"),
}
ITEMS: Columns = {
    **CELL,
    **MEASURED,
    "item_id": "int64",
    "value": "float64",
    "image_id_1": "int64",
    "image_id_2": "Int64",
}
TEXTS: Columns = {
    "pair_id": "int64",
    "image_id_1": "int64",
    "image_id_2": "Int64",
    "difference": "str",
    "kept": "bool",
    "drop_reason": "str",
    **dict.fromkeys(("true", "true_swapped"), "boolean"),
    "truncated": "bool",
    **dict.fromkeys(("prompt_tokens", "completion_tokens"), "Int64"),
}


def typed(table: pd.DataFrame, columns: Columns, source: Path) -> pd.DataFrame:
    """Return a table with these columns first, cast to their types; the others follow unchanged.

    Raises:
        DataError: it lacks a column, or a value of one can't be cast.
    """
    if missing := [name for name in columns if name not in table]:
        raise DataError(
            f"{source}: lacks the columns {', '.join(missing)}; make it again with this version"
        )
    others = [name for name in table if name not in columns]
    kinds: dict[str, Any] = {
        name: pd.CategoricalDtype(pd.Index(table[name].unique(), dtype="str"))
        if dtype == "category"
        else dtype
        for name, dtype in columns.items()
    }
    try:
        return table[[*columns, *others]].astype(kinds)
    except (TypeError, ValueError) as error:
        raise DataError(f"{source}: {error}; make it again with this version") from error


def empty(columns: Columns) -> pd.DataFrame:
    """Return a frame of these columns and no rows."""
    return typed(pd.DataFrame(columns=list(columns)), columns, Path())


def read_csv(path: Path, columns: Columns) -> pd.DataFrame:
    """Read a table of the folder ``tables``. Only an empty field is missing: a row may be ``null``.

    Raises:
        DataError: it is missing or not such a table.
    """
    text = {name: "str" for name, dtype in columns.items() if dtype == "category"}
    try:
        table = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read as CSV ({error}); make it again") from error
    return typed(table, columns, path)


def stacked(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return tables of the same columns one below the other, categories joined in their order."""
    names = [str(name) for name, dtype in tables[0].dtypes.items() if dtype == "category"]
    plain = pd.concat([table.drop(columns=names) for table in tables], ignore_index=True)
    joined = {name: union_categoricals([table[name] for table in tables]) for name in names}
    return plain.assign(**joined)[list(tables[0])]
