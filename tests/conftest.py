"""What the tests share: real digits as vectors, and a store in a temporary folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

# Numbers of threads that fight each other make a small machine's tests slow, not wrong.
os.environ.setdefault("OMP_NUM_THREADS", "2")


class Digits(NamedTuple):
    X: np.ndarray
    y: np.ndarray


@pytest.fixture(scope="session")
def digits() -> Digits:
    """The first 600 real digits of scikit-learn: (600, 64) float32 pixels and their classes."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Digits(bunch.data[:600].astype(np.float32), bunch.target[:600].astype(np.int64))


@pytest.fixture(scope="session")
def digits_file(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a user's .npz file."""
    path = tmp_path_factory.mktemp("vectors") / "digits600.npz"
    np.savez(path, X=digits.X, y=digits.y)
    return path
