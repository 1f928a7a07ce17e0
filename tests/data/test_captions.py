"""What every later stage relies on is checked before anything is written."""

import pandas as pd
import pytest

from clipdiff.data.captions import check_captions
from clipdiff.errors import DataError

TABLE = pd.DataFrame(
    {"image_id": [1, 2, 3], "caption": ["a", "b", "c"], "split": ["train", "train", "test"]}
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"caption": ["a", "  ", "c"]}, "own.csv, row 1: the caption is empty"),
        ({"caption": ["a", "b", None]}, "own.csv, row 2: the caption is empty"),
        ({"image_id": [1, 2, 1]}, "own.csv, row 2: image_id 1 stands there twice"),
        ({"split": ["train", "test", "test"]}, "own.csv: 1 rows have split 'train'; expected at"),
    ],
)
def test_a_broken_promise_is_named(changes: dict, message: str) -> None:
    check_captions(TABLE, "own.csv")
    with pytest.raises(DataError, match=message):
        check_captions(TABLE.assign(**changes), "own.csv")
