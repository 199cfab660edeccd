"""Data for the tests of the benchmarks."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def vectors(tmp_path_factory) -> str:
    """450 digits of scikit-learn as an .npz file."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    path = tmp_path_factory.mktemp("bench") / "digits.npz"
    np.savez(path, X=X[:450].astype(np.float32), y=y[:450])
    return str(path)
