"""Pairwise L1 and Chebyshev distances, computed feature by feature."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy as np

from ..device.threads import all_cores, compiled

BlockOf = Callable[[int, int], Any]

# Columns that a kernel works on at a time, so that their sums stay in the first-level cache.
_COLUMNS = 1024
# Features summed in the dtype of X before the sum is added in float64.  Keeps the relative error in
# float32 below 1e-6 for any number of features.
_FEATURES = 64


def l1_blocks(xp: Any, X: Any) -> BlockOf:
    """Return ``block_of(start, stop)``: L1 distances from these rows to all rows."""
    if array_api_compat.is_numpy_namespace(xp):
        return _compiled_blocks(X, _l1_kernel())
    if array_api_compat.is_cupy_namespace(xp):
        return torch_blocks(xp, X, 1.0)
    return _feature_blocks(xp, X, lambda total, difference: total + difference)


def chebyshev_blocks(xp: Any, X: Any) -> BlockOf:
    """Return ``block_of(start, stop)``: Chebyshev distances from these rows to all rows."""
    if array_api_compat.is_numpy_namespace(xp):
        return _compiled_blocks(X, _chebyshev_kernel())
    if array_api_compat.is_cupy_namespace(xp):
        return torch_blocks(xp, X, math.inf)
    return _feature_blocks(xp, X, xp.maximum)


def _compiled_blocks(X: np.ndarray, kernel: Callable) -> BlockOf:
    n, d = X.shape
    # Kernels take four features at a time, each contiguous along samples; zeros pad the last four.
    features = np.zeros((-(-d // 4) * 4, n), dtype=X.dtype)
    features[:d] = X.T
    each = all_cores()

    def block_of(start: int, stop: int) -> np.ndarray:
        D = np.empty((stop - start, n), dtype=X.dtype)
        each(lambda a, b: kernel(features, start + a, D[a:b]), stop - start)
        return D

    return block_of


@functools.cache
def _l1_kernel() -> Callable:
    """Compile ``kernel(features, first, D)``: sets D to the distances of the rows ``first:``."""

    @compiled
    def kernel(features, first, D):
        d, n = features.shape
        sums, totals = np.empty(_COLUMNS, dtype=D.dtype), np.empty(_COLUMNS)
        for begin in range(0, n, _COLUMNS):
            end = min(begin + _COLUMNS, n)
            part, total = sums[: end - begin], totals[: end - begin]
            for i in range(len(D)):
                own = features[:, first + i]
                part[:] = 0
                total[:] = 0
                for f in range(0, d, 4):
                    a, b, c, e = own[f], own[f + 1], own[f + 2], own[f + 3]
                    # Separate slices are known to be contiguous, so the loop is vectorized.
                    x, y = features[f, begin:end], features[f + 1, begin:end]
                    z, w = features[f + 2, begin:end], features[f + 3, begin:end]
                    for j in range(len(part)):
                        part[j] += (abs(a - x[j]) + abs(b - y[j])) + (abs(c - z[j]) + abs(e - w[j]))
                    if (f + 4) % _FEATURES == 0 or f + 4 == d:
                        for j in range(len(part)):
                            total[j] += part[j]
                        part[:] = 0
                D[i, begin:end] = total

    return kernel


@functools.cache
def _chebyshev_kernel() -> Callable:
    """Compile ``kernel(features, first, D)``: sets D to the distances of the rows ``first:``."""

    @compiled
    def kernel(features, first, D):
        d, n = features.shape
        for begin in range(0, n, _COLUMNS):
            end = min(begin + _COLUMNS, n)
            for i in range(len(D)):
                own, largest = features[:, first + i], D[i, begin:end]
                largest[:] = 0
                for f in range(0, d, 4):
                    a, b, c, e = own[f], own[f + 1], own[f + 2], own[f + 3]
                    x, y = features[f, begin:end], features[f + 1, begin:end]
                    z, w = features[f + 2, begin:end], features[f + 3, begin:end]
                    for j in range(len(largest)):
                        two = max(abs(a - x[j]), abs(b - y[j]))
                        four = max(two, max(abs(c - z[j]), abs(e - w[j])))
                        largest[j] = max(largest[j], four)

    return kernel


def torch_blocks(xp: Any, X: Any, p: float) -> BlockOf:
    """Return the blocks of the p-norm by ``torch.cdist``, in the dtype of X.

    For namespaces that exchange arrays with torch without a copy (DLPack): CuPy, which has no such
    kernel, and NumPy in tests without a GPU.

    Examples
    --------
    >>> torch_blocks(np, np.array([[0.0, 0.0], [3.0, 4.0]]), math.inf)(0, 1).tolist()
    [[0.0, 4.0]]
    """
    import torch

    rows = torch.from_dlpack(X)

    def block_of(start: int, stop: int) -> Any:
        return xp.from_dlpack(torch.cdist(rows[start:stop], rows, p=p))

    return block_of


def _feature_blocks(xp: Any, X: Any, combine: Callable[[Any, Any], Any]) -> BlockOf:
    """Combine the differences feature by feature: d passes, but no (b, n, d) array."""

    def block_of(start: int, stop: int) -> Any:
        shape = (stop - start, X.shape[0])
        D = xp.zeros(shape, dtype=xp.float64, device=array_api_compat.device(X))
        for feature in range(X.shape[1]):
            column = xp.astype(X[:, feature], xp.float64)
            D = combine(D, xp.abs(column[start:stop][:, None] - column[None, :]))
        return xp.astype(D, X.dtype)

    return block_of
