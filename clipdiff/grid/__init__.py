"""The grid's grammar: rows, cells, and where their results lie. Rules and stages both read it.

A *row* is whose texts a CLIP is finetuned on: an LLM of the grid, or a control. A *cell* is a row
with a loss and a seed: one training, one evaluation.
"""

from clipdiff.grid.cells import PRETRAINED, Cell, Control, Row
from clipdiff.grid.layout import Layout

__all__ = ["PRETRAINED", "Cell", "Control", "Layout", "Row"]
