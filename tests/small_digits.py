"""Scikit-learn's digits cut short, for tests without figures to check."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from sklearn import datasets
from sklearn.utils import Bunch

from gpuclust.datasets.table import DATASETS

ALL = datasets.load_digits()


def load_first(count: int) -> Callable[..., Bunch | tuple[np.ndarray, np.ndarray]]:
    """Return a stand-in for `sklearn.datasets.load_digits` with the first `count` digits."""
    first = {name: ALL[name][:count] for name in ("data", "images", "target")}

    def load_digits(*, return_X_y: bool = False) -> Bunch | tuple[np.ndarray, np.ndarray]:
        return (first["data"], first["target"]) if return_X_y else Bunch(**ALL | first)

    return load_digits


def use_first(patch: pytest.MonkeyPatch, count: int) -> None:
    """Make `count` digits the whole dataset until `patch` ends; in this process only."""
    patch.setattr(datasets, "load_digits", load_first(count))
    sizes = np.unique(ALL["target"][:count], return_counts=True)[1]
    numbers = {"classes": len(sizes), "imbalance": float(sizes.max() / sizes.min())}
    entry = dataclasses.replace(DATASETS["digits"], splits={"all": count}, **numbers)
    patch.setitem(DATASETS, "digits", entry)
