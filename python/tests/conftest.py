"""A run and its data, which several tests read."""

from pathlib import Path

import numpy as np
import pytest

from seqfit import _program


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained on the built-in digits for two epochs."""
    run = tmp_path_factory.mktemp("runs") / "digits"
    _program.run(["train", "--dataset=digits", "--epochs=2", f"--out={run}", "--json", "--quiet"])
    return run


@pytest.fixture
def table() -> tuple[np.ndarray, np.ndarray]:
    """Samples [200, 3] and a class that their first column decides."""
    x = np.random.default_rng(0).normal(size=(200, 3))
    return x, (x[:, 0] > 0).astype(int)
