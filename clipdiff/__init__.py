"""clipdiff: which LLM, which loss? Finetuning CLIP on pairwise image differences.

In a notebook: ``load_results``, ``load_model`` and ``make_loss`` (docs/api.md). They are imported
on first use, so that ``import clipdiff`` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipdiff.api.loss import make_loss
    from clipdiff.api.models import load_model
    from clipdiff.api.results import load_results
    from clipdiff.grid.cells import Cell, Row

__version__ = "0.1.0"

__all__ = ["Cell", "Row", "__version__", "load_model", "load_results", "make_loss"]

_MODULES = {
    "Cell": "clipdiff.grid.cells",
    "Row": "clipdiff.grid.cells",
    "load_model": "clipdiff.api.models",
    "load_results": "clipdiff.api.results",
    "make_loss": "clipdiff.api.loss",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'clipdiff' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
