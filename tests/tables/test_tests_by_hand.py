"""One test of ``tests.csv`` from its definition alone: resampled images, loop by loop."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from clipdiff.files import read_parquet
from clipdiff.grid import PRETRAINED, Cell
from clipdiff.stats.bootstrap import multiplicities

SPLIT = "test_style"
RESAMPLES, SEED = 200, 0


def items_of(built, cell: Cell) -> pd.DataFrame:
    """Difference accuracy of each item of each attribute."""
    table = read_parquet(built.layout.items(cell))
    weights = "pretrained" if cell.is_pretrained else "finetuned"
    chosen = table[(table["split"] == SPLIT) & (table["weights"] == weights)]
    chosen = chosen[(chosen["metric"] == "accuracy") & (chosen["task"] != "difference/mean")]
    return chosen.sort_values(["task", "item_id"]).reset_index(drop=True)


def averaged(built, llm: str, losses: list[str]) -> np.ndarray:
    """Average each item over losses and seeds."""
    runs = [Cell.of(llm, loss, seed) for loss in losses for seed in ("0", "1")]
    return sum(items_of(built, run)["value"].to_numpy() for run in runs) / len(runs)


def mean_of_tasks(items: pd.DataFrame, values: np.ndarray, drawn: Counter) -> float:
    """Weigh each pair by how often its two images were drawn; average the tasks' means."""
    sums, totals = Counter(), Counter()
    for task, first, second, value in zip(
        items["task"], items["image_id_1"], items["image_id_2"], values, strict=True
    ):
        weight = drawn[first] * drawn[second]
        sums[task] += weight * value
        totals[task] += weight
    means = [sums[task] / totals[task] for task in totals if totals[task]]
    return sum(means) / len(means)


def by_hand(items: pd.DataFrame, first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Compare two sets of values on the same items."""
    images = sorted({*items["image_id_1"], *items["image_id_2"]})
    draws = multiplicities(len(images), RESAMPLES, SEED)  # (n, R), the resamples themselves
    gains = []
    for each in draws.T:
        drawn = Counter(dict(zip(images, each, strict=True)))
        gains.append(mean_of_tasks(items, first, drawn) - mean_of_tasks(items, second, drawn))
    once = Counter(dict.fromkeys(images, 1))
    gain = mean_of_tasks(items, first, once) - mean_of_tasks(items, second, once)
    low, high = np.quantile(gains, [0.025, 0.975])
    p = 2 * norm.sf(abs(gain) / np.std(gains, ddof=1))
    floor = 2 / 2 ** len(images)
    return {"gain": gain, "ci_low": low, "ci_high": high, "p": max(p, floor)}


@pytest.fixture
def tests(root) -> pd.DataFrame:
    """The rows of difference accuracy on one split with finetuned weights."""
    table = pd.read_csv(root / "tables/tests.csv")
    table = table[(table["split"] == SPLIT) & (table["weights"] == "finetuned")]
    return table[table["task"] == "difference/mean"]


def check(row: pd.Series, expected: dict[str, float]) -> None:
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_one_llm_against_another(built, tests):
    (row,) = [row for _, row in tests.iterrows() if row["kind"] == "llm"]
    losses = ["squared", "hinge"]
    first, second = averaged(built, "llama2", losses), averaged(built, "bert", losses)
    check(row, by_hand(items_of(built, PRETRAINED), first, second))


def test_cells_against_pretrained_and_holm_over_them(built, tests):
    cells = tests[tests["kind"] == "cell"]
    items = items_of(built, PRETRAINED)
    ps = []
    for _, row in cells.iterrows():
        llm, loss = row["first"].split("/")
        expected = by_hand(items, averaged(built, llm, [loss]), items["value"].to_numpy())
        check(row, expected)
        ps.append(expected["p"])
    corrected = multipletests(ps, method="holm")[1]
    assert cells["p_holm"].to_numpy() == pytest.approx(corrected)
    assert (cells["survives"].to_numpy() == (corrected < 0.05)).all()
