from pathlib import Path

import pandas as pd
from differences_plus.caption_recall import CaptionRecall

from clipdiff.tasks.measuring.splits import make_splits
from clipdiff.testing import check_task


def test_caption_recall():
    table = pd.DataFrame({"image_id": range(40), "split": "test", "label": None})
    table["caption"] = [f"caption {number}" for number in range(40)]
    (split,) = make_splits(table.assign(attributes=None), ["test"], Path("captions.parquet"))
    check_task(CaptionRecall(), split, chance={("caption_recall", "recall1"): 1 / 40})
