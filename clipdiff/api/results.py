"""The results of a run as frames."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path

import pandas as pd

from clipdiff.api import frames
from clipdiff.errors import DataError, did_you_mean
from clipdiff.files import read_json, read_parquet
from clipdiff.grid import Cell, Layout, Row
from clipdiff.provenance import Provenance
from clipdiff.settings import Values
from clipdiff.tables.reading.metrics_files import read_metrics

Names = str | Iterable[str] | None
"""One name, several, or None for all."""
Cells = Cell | str | Iterable[Cell | str] | None
"""Likewise of cells."""


@dataclass(frozen=True)
class Results:
    """A results folder. Every frame is read on first use."""

    folder: Path

    @property
    def layout(self) -> Layout:
        """Where each file lies."""
        return Layout(self.folder)

    @cached_property
    def cells(self) -> list[Cell]:
        """The cells that are evaluated, the pretrained CLIP first, then the grid's, then controls.

        Raises:
            DataError: no cell has been evaluated yet.
        """
        root = self.folder / "metrics"
        cells = [
            Cell.of(path.parts[-3], path.parts[-2], path.stem.removeprefix("seed"))
            for path in root.glob("*/*/seed*.json")
        ]
        if not cells:
            raise DataError(
                f"{root}: no cell is evaluated yet; run the workflow, or `clipdiff evaluate` for "
                "one cell"
            )
        kinds = ("pretrained", "cell", "control")
        return sorted(cells, key=lambda cell: (kinds.index(cell.row.kind), str(cell)))

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Every number of every cell: ``tables/metrics.csv``, or the cells' own files before it.

        ``llm, loss, seed, task, split, weights, metric`` (category), ``value, stderr, ci_low,
        ci_high`` (float64), ``n`` (int64), ``higher_is_better`` (bool). The seed of ``pretrained``
        is ``none``, so seeds are names too.

        Raises:
            DataError: there is neither, or one is broken.
        """
        table = self.layout.tables / "metrics.csv"
        if table.is_file():
            return frames.read_csv(table, frames.METRICS)
        rows, _ = read_metrics(self.layout, self.cells)
        return frames.typed(rows, frames.METRICS, table)

    @cached_property
    def tests(self) -> pd.DataFrame:
        """Paired tests: ``first`` minus ``second`` is ``gain``.

        ``kind, first, second, task, metric, split, weights`` (category), ``n, runs`` (int64),
        ``value, value_low, value_high, gain, stderr, ci_low, ci_high, p, mcnemar_p, p_holm``
        (float64), ``survives`` (bool).

        Raises:
            DataError: ``gather`` has not run, or the table is broken.
        """
        return self._table("tests", frames.TESTS)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One line for each arm, metric, split and weight setting, averaged over seeds.

        ``llm, loss, kind, task, metric, split, weights`` (category), ``seeds`` (int64), ``mean,
        sd, ci_low, ci_high, gain, gain_low, gain_high, p, p_holm`` (float64), ``survives, best``
        (bool).

        Raises:
            DataError: ``gather`` has not run, or the table is broken.
        """
        return self._table("summary", frames.SUMMARY)

    def items(
        self,
        *,
        split: Names = None,
        task: Names = None,
        metric: Names = None,
        weights: Names = None,
        cells: Cells = None,
    ) -> pd.DataFrame:
        """Return the items behind the numbers, of all cells; only what is asked for is read.

        The same ``item_id`` of a task, split and metric is the same item in every cell.

        Args:
            split, task, metric, weights: a name or several; None: all.
            cells: one of ``cells`` or several, or their names; None: all.

        Returns:
            ``llm, loss, seed, task, split, weights, metric`` (category), ``item_id`` (int64),
            ``value`` (float64), ``image_id_1`` (int64), ``image_id_2`` (Int64; missing where the
            item has one image). Empty where the metric keeps no items, or nothing is asked for.

        Raises:
            ConfigError: a name of a cell is none.
            DataError: nothing is measured of that name (the nearest is named), or a file is missing
                or broken.
        """
        names = {"split": split, "task": task, "metric": metric, "weights": weights}
        choice = {key: _listed(key, value) for key, value in names.items() if value is not None}
        for key, values in choice.items():
            self._check(key, values)
        conditions = [(key, "in", values) for key, values in choice.items()]
        tables = []
        places = self.cells if cells is None else self._cells(cells)
        if not places or not all(choice.values()):
            return frames.empty(frames.ITEMS)
        for cell in places:
            path = self.layout.items(cell)
            table = read_parquet(path, filters=conditions or None)
            tables.append(frames.typed(table.assign(**_columns(cell)), frames.ITEMS, path))
        return frames.stacked(tables)

    def texts(self, row: Row | str) -> pd.DataFrame:
        """Return what a row is finetuned on, texts that were dropped too.

        Args:
            row: such as ``bert`` or ``shuffled-llama2``.

        Returns:
            ``pair_id, image_id_1`` (int64), ``image_id_2`` (Int64; missing where the text is a
            caption), ``difference`` (str), ``kept`` (bool), ``drop_reason`` (str, missing where
            kept), ``true, true_swapped`` (boolean; missing where nothing can be checked),
            ``truncated`` (bool), ``prompt_tokens, completion_tokens`` (Int64).

        Raises:
            DataError: the row has no texts yet (rows that have some are named), or they are broken.
        """
        path = self.layout.differences(row)
        if not path.is_file():
            there = sorted(file.stem for file in path.parent.glob("*.parquet"))
            raise DataError(
                f"{path}: no texts of '{row}'{did_you_mean(str(row), there)}; there are: "
                f"{', '.join(there) or 'none'}; run the workflow, or `clipdiff filter`"
            )
        return frames.typed(read_parquet(path), frames.TEXTS, path)

    def images(self, split: Names = None) -> pd.DataFrame:
        """Return the images of some splits, which ``Model.encode_images`` takes as they are.

        Args:
            split: a name or several; None: all, ``train`` too.

        Returns:
            ``image_id`` (int64), ``image`` (bytes of a file, or its path), ``caption, split,
            label`` (str), ``attributes`` (a mapping, or None).

        Raises:
            DataError: there are no images yet, or none in that split.
        """
        path = self.layout.captions
        if not path.is_file():
            raise DataError(f"{path}: no images; run the workflow, or `clipdiff prepare`")
        names = None if split is None else _listed("split", split)
        # a list without values has no type to compare: no split is called ""
        conditions = None if names is None else [("split", "in", names or [""])]
        columns = ("image_id", "image", "path", "caption", "split", "label", "attributes")
        table = read_parquet(path, columns, optional=(), filters=conditions)
        for name in names or ():
            if not (table["split"] == name).any():
                there = sorted(read_parquet(path, ("split",), optional=())["split"].unique())
                raise DataError(f"{path}: no split '{name}'{did_you_mean(name, there)}; "
                                f"there are: {', '.join(there)}")  # fmt: skip
        attributes = [json.loads(text) if isinstance(text, str) else None
                      for text in table.pop("attributes")]  # fmt: skip
        files = table.pop("path")
        image = table["image"].where(table["image"].notna(), files)
        return table.assign(image=image, attributes=pd.Series(attributes, table.index, "object"))

    def provenance(self, cell: Cell | str) -> dict[str, Provenance]:
        """Return where a cell's numbers come from: code, versions, machine, seed, settings.

        Returns:
            ``{"training": ..., "evaluation": ...}``; the pretrained CLIP has no training.

        Raises:
            DataError: the cell is not evaluated, or a file is broken.
        """
        ((place,), facts) = self._cells([cell]), {}
        if not place.is_pretrained:
            path = self.layout.provenance(place)
            facts["training"] = Provenance.parse(read_json(path), path)
        _, (facts["evaluation"],) = read_metrics(self.layout, [place])
        return facts

    def config(self, cell: Cell | str) -> dict[str, Values]:
        """Return the settings that decided a cell's numbers.

        Returns:
            ``{"training": ..., "evaluation": ...}``, as the provenance of each holds them.

        Raises:
            DataError: the cell is not evaluated, or a file is broken.
        """
        return {stage: facts.settings for stage, facts in self.provenance(cell).items()}

    def _table(self, name: str, columns: frames.Columns) -> pd.DataFrame:
        path = self.layout.tables / f"{name}.csv"
        if not path.is_file():
            raise DataError(f"{path}: no such table yet; run the workflow, or `clipdiff gather`")
        return frames.read_csv(path, columns)

    def _cells(self, cells: Cell | str | Iterable[Cell | str]) -> list[Cell]:
        several = [cells] if isinstance(cells, Cell | str) else cells
        if not isinstance(several, Iterable):
            raise DataError(f"cells: got {cells!r}; expected cells, their names, or one")
        parsed = [Cell.parse(cell) if isinstance(cell, str) else cell for cell in several]
        names = [str(cell) for cell in self.cells]
        for cell in parsed:
            if str(cell) not in names:
                raise DataError(
                    f"{self.folder}: the cell {cell} is not evaluated"
                    f"{did_you_mean(str(cell), names)}; Results.cells lists those that are"
                )
        return parsed

    def _check(self, column: str, values: Iterable[str]) -> None:
        there = list(self.metrics[column].cat.categories)
        for value in values:
            if value not in there:
                raise DataError(
                    f"{self.folder}: no {column} '{value}'{did_you_mean(value, there)}; there are: "
                    f"{', '.join(there)}"
                )


def load_results(folder: Path | str = "results") -> Results:
    """Return the results in a folder; files are read on first use.

    Args:
        folder: what the configuration names under ``results``.

    Raises:
        DataError: it is not a results folder.
    """
    folder = folder_of(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the results folder of a run")
    if not any((folder / part).is_dir() for part in ("data", "metrics", "tables")):
        inner = folder / "results"
        hint = f"; did you mean {inner}?" if inner.is_dir() else ""
        raise DataError(f"{folder}: holds no results of a run yet; run the workflow first{hint}")
    return Results(folder)


def folder_of(name: Path | str) -> Path:
    """Return a results folder as a path.

    Raises:
        DataError: it is neither a path nor a name.
    """
    if not isinstance(name, str | PathLike):
        raise DataError(f"results: got {name!r}; expected the results folder of a run")
    return Path(name)


def _columns(cell: Cell) -> Mapping[str, str]:
    return {"llm": str(cell.row), "loss": cell.loss, "seed": cell.seed}


def _listed(what: str, names: str | Iterable[str]) -> list[str]:
    several = [names] if isinstance(names, str) else names
    if not isinstance(several, Iterable):
        raise DataError(f"{what}: got {names!r}; expected a name or several")
    return [str(name) for name in several]
