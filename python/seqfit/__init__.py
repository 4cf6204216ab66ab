"""Small neural networks, trained by the program seqfit and used from Python.

- `seqfit.SeqfitClassifier` and `seqfit.SeqfitRegressor` are estimators of scikit-learn.
- `seqfit.load` returns the network of a run as a `torch.nn.Module`, with its classes and its preprocessing.
- `seqfit …` on the command line, or `python -m seqfit …`, is the program itself.

PyTorch is imported by `load`, and scikit-learn by the estimators, when they are first used.
"""

from __future__ import annotations

from seqfit._start import SeqfitError, SeqfitUsageError

# As in `typing`, which takes longer to import than the program to start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from seqfit._estimators import SeqfitClassifier, SeqfitRegressor
    from seqfit._network import Network, load

__all__ = [
    "Network",
    "SeqfitClassifier",
    "SeqfitError",
    "SeqfitRegressor",
    "SeqfitUsageError",
    "load",
]

_HOMES = {
    "Network": "_network",
    "SeqfitClassifier": "_estimators",
    "SeqfitRegressor": "_estimators",
    "load": "_network",
}


def __getattr__(name: str) -> Any:
    """Imports what is used, so that `import seqfit` takes no time (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("seqfit")
    if name not in _HOMES:
        raise AttributeError(f"module 'seqfit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"seqfit.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
