"""Losses over pairwise image differences, without an N x N matrix.

Tensors and floats in, a scalar out: no config, rank, file or logger is known here.
"""

from .blocks import AllReduce
from .contrastive import contrastive_loss, contrastive_loss_rows
from .dispatch import Choice, choose_backend
from .hinge import hinge_loss, hinge_loss_rows
from .layers import ContrastiveDifferenceLoss, HingeDifferenceLoss, SquaredDifferenceLoss
from .squared import squared_loss, squared_loss_rows
from .stats import Stats

__version__ = "0.1.0"

__all__ = [
    "AllReduce",
    "Choice",
    "ContrastiveDifferenceLoss",
    "HingeDifferenceLoss",
    "SquaredDifferenceLoss",
    "Stats",
    "choose_backend",
    "contrastive_loss",
    "contrastive_loss_rows",
    "hinge_loss",
    "hinge_loss_rows",
    "squared_loss",
    "squared_loss_rows",
]
