"""l1 and chebyshev distances, which have no product form: from the differences of the features."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import array_api_compat
import numpy as np

from ..device.threads import all_cores, compiled

# Columns that a kernel works on at a time: their sums stay in the first cache.
_WIDTH = 1024
# Features that are summed in the dtype of X before float64 takes over: the rounding stays below
# 1e-6 in float32, whatever the number of features.
_RUN = 64


def l1_blocks(xp, X) -> Callable:
    """Return ``block_of(start, stop)``, the l1 distances from these rows to all rows."""
    if array_api_compat.is_numpy_namespace(xp):
        return _compiled_blocks(X, _l1_kernel())
    if array_api_compat.is_cupy_namespace(xp):
        return torch_blocks(xp, X, 1.0)
    return _feature_blocks(xp, X, lambda total, gap: total + gap)


def chebyshev_blocks(xp, X) -> Callable:
    """Return ``block_of(start, stop)``, the chebyshev distances from these rows to all rows."""
    if array_api_compat.is_numpy_namespace(xp):
        return _compiled_blocks(X, _chebyshev_kernel())
    if array_api_compat.is_cupy_namespace(xp):
        return torch_blocks(xp, X, math.inf)
    return _feature_blocks(xp, X, xp.maximum)


def _compiled_blocks(X, kernel: Callable) -> Callable:
    n, d = X.shape
    # Kernels run along samples and take four features at a time: what fills up adds nothing.
    features = np.zeros((-(-d // 4) * 4, n), dtype=X.dtype)
    features[:d] = X.T
    each = all_cores()

    def block_of(start: int, stop: int):
        D = np.empty((stop - start, n), dtype=X.dtype)
        each(lambda a, b: kernel(features, start + a, D[a:b]), stop - start)
        return D

    return block_of


@functools.cache
def _l1_kernel() -> Callable:
    """Compile ``kernel(features, first, D)``, which fills D with the rows ``first:``."""

    @compiled
    def kernel(features, first, D):
        d, n = features.shape
        runs, totals = np.empty(_WIDTH, dtype=D.dtype), np.empty(_WIDTH)
        for left in range(0, n, _WIDTH):
            right = min(left + _WIDTH, n)
            run, total = runs[: right - left], totals[: right - left]
            for i in range(len(D)):
                own = features[:, first + i]
                run[:] = 0
                total[:] = 0
                for f in range(0, d, 4):
                    a, b, c, e = own[f], own[f + 1], own[f + 2], own[f + 3]
                    # Cut one by one, each is known to be contiguous, and the loop is vectorised.
                    x, y = features[f, left:right], features[f + 1, left:right]
                    z, w = features[f + 2, left:right], features[f + 3, left:right]
                    for j in range(len(run)):
                        run[j] += (abs(a - x[j]) + abs(b - y[j])) + (abs(c - z[j]) + abs(e - w[j]))
                    if (f + 4) % _RUN == 0 or f + 4 == d:
                        for j in range(len(run)):
                            total[j] += run[j]
                        run[:] = 0
                D[i, left:right] = total

    return kernel


@functools.cache
def _chebyshev_kernel() -> Callable:
    """Compile ``kernel(features, first, D)``, which fills D with the rows ``first:``."""

    @compiled
    def kernel(features, first, D):
        d, n = features.shape
        for left in range(0, n, _WIDTH):
            right = min(left + _WIDTH, n)
            for i in range(len(D)):
                own, most = features[:, first + i], D[i, left:right]
                most[:] = 0
                for f in range(0, d, 4):
                    a, b, c, e = own[f], own[f + 1], own[f + 2], own[f + 3]
                    x, y = features[f, left:right], features[f + 1, left:right]
                    z, w = features[f + 2, left:right], features[f + 3, left:right]
                    for j in range(len(most)):
                        two = max(abs(a - x[j]), abs(b - y[j]))
                        most[j] = max(most[j], max(two, max(abs(c - z[j]), abs(e - w[j]))))

    return kernel


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


# ---- for NumPy: compiled, and on all cores ------------------------------------------------------
