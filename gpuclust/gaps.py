"""l1 and chebyshev distances, which have no product form: from the differences of the features."""

from __future__ import annotations

import math
from collections.abc import Callable

import array_api_compat
import numpy as np


def l1_blocks(xp, X) -> Callable:
    """Return ``block_of(start, stop)``, the l1 distances from these rows to all rows."""
    if array_api_compat.is_numpy_namespace(xp):
        return _scipy_blocks(X, "cityblock")
    if array_api_compat.is_cupy_namespace(xp):
        return torch_blocks(xp, X, 1.0)
    return _feature_blocks(xp, X, lambda total, gap: total + gap)


def chebyshev_blocks(xp, X) -> Callable:
    """Return ``block_of(start, stop)``, the chebyshev distances from these rows to all rows."""
    if array_api_compat.is_numpy_namespace(xp):
        return _scipy_blocks(X, "chebyshev")
    if array_api_compat.is_cupy_namespace(xp):
        return torch_blocks(xp, X, math.inf)
    return _feature_blocks(xp, X, xp.maximum)


def _scipy_blocks(X, name: str) -> Callable:
    from scipy.spatial.distance import cdist

    wide = np.asarray(X, dtype=np.float64)

    def block_of(start: int, stop: int):
        return cdist(wide[start:stop], wide, metric=name).astype(X.dtype, copy=False)

    return block_of


def torch_blocks(xp, X, p: float) -> Callable:
    """Return the blocks of the p-norm by torch, one kernel each, in the dtype of X.

    For any namespace whose arrays torch takes and gives without a copy (DLPack): CuPy, and NumPy
    for a machine without a GPU.  CuPy itself has no such kernel.
    """
    import torch

    rows = torch.from_dlpack(X)

    def block_of(start: int, stop: int):
        return xp.from_dlpack(torch.cdist(rows[start:stop], rows, p=p))

    return block_of


def _feature_blocks(xp, X, combine: Callable) -> Callable:
    """Combine the gaps feature by feature: d passes over the block, and no (b, n, d) array."""

    def block_of(start: int, stop: int):
        shape = (stop - start, X.shape[0])
        D = xp.zeros(shape, dtype=xp.float64, device=array_api_compat.device(X))
        for feature in range(X.shape[1]):
            column = xp.astype(X[:, feature], xp.float64)
            D = combine(D, xp.abs(column[start:stop][:, None] - column[None, :]))
        return xp.astype(D, X.dtype)

    return block_of
