"""Every set in its publishers' layout passes the kit that plugins are checked by."""

import pytest

from clipdiff.datasets.base import DATASETS, DatasetFolder
from clipdiff.testing import check_dataset

FOLDERS = [kind for kind in DATASETS.kinds if issubclass(DATASETS.of(kind), DatasetFolder)]


@pytest.mark.parametrize("kind", FOLDERS)
def test_data_sets_keep_what_their_room_promises(kind, write, tmp_path):
    write[kind](tmp_path)
    check_dataset(DATASETS.make({"kind": kind, "root": str(tmp_path)}))
