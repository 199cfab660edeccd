"""l1 and chebyshev distances, which have no product form: from the differences of the features.

Also what the compiled kernels for NumPy arrays share, here and in `gram`, `ops` and `neighbors`:
how they are compiled, and threads.
"""

from __future__ import annotations

import contextlib
import functools
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import array_api_compat
import numpy as np

from .host import cores

# Columns that a kernel works on at a time: their sums stay in the first cache.
_WIDTH = 1024
# Features that are summed in the dtype of X before float64 takes over: the rounding stays below
# 1e-6 in float32, whatever the number of features.
_RUN = 64
_ALONE = threading.Lock()


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


def compiled(function: Callable) -> Callable:
    """Compile by numba for threads; the machine code is kept on disk where that can be written.

    One function each: numba's cache never finds a function that closes over another.  Sums may be
    reordered, so that they are vectorised: by the compiler, the same way every time.
    """
    import numba

    options = {"nogil": True, "fastmath": {"nsz", "contract", "reassoc"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the home can be written to
        return numba.njit(**options)(function)


def all_cores() -> Callable:
    """Return ``each(function, n, step=None)``: calls ``function(start, stop)`` until n are done.

    On as many threads as there are cores, which end with the returned function.  For functions that
    release the GIL, and whose results do not depend on the cuts or that are given a `step`.
    """
    workers = cores()
    pool = ThreadPoolExecutor(workers)

    def each(function: Callable, n: int, *, step: int | None = None) -> None:
        # Two pieces per core: a core that has other work too does not keep the rest waiting.
        step = max(-(-n // (2 * workers)), 1) if step is None else step
        done = pool.map(lambda start: function(start, min(start + step, n)), range(0, n, step))
        list(done)  # raises what a thread raised

    return each


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep products to the thread that asks for them, where all cores have threads of ours.

    Threads of BLAS wait in a loop for one another and for the next product, and take the cores from
    what else there is to do.
    """
    # Two at once would each put back what the other has set.
    with _ALONE, _thread_pools().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _thread_pools() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
