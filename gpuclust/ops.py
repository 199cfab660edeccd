"""Array verbs that the standard lacks: blocks of pairwise distances and sums per segment.

One body serves NumPy, CuPy and `array_api_strict`: each function asks its input for the namespace
and creates arrays on the input's device.  n x n work always comes in blocks of rows, so that memory
stays bounded whatever n is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import array_api_compat
import numpy as np

from gpuclust.errors import InputError, unknown

METRICS = ("euclidean", "cosine", "l1", "chebyshev")
BLOCK_BYTES = 32 << 20
# Up to here a dense one-hot product beats a sparse one on two CPU cores (n = 5000).
_DENSE_SEGMENTS = 64
# Columns per product: float32 sums stay this short.
_RUN = 4096


def distance_blocks(
    X, *, metric: str = "euclidean", block_bytes: int | None = None
) -> Iterator[tuple[int, int, object]]:
    """Yield ``(start, stop, D)``: distances from the rows ``start:stop`` of `X` to all its rows.

    O(n^2 d) time; one block of `block_bytes`, a few temporaries of that size and a centred copy of
    `X` in memory.  Answers are those of ``sklearn.metrics.pairwise_distances``.

    Euclidean and cosine distances are matrix products (Gram form) of the centred rows; for cosine,
    of the centred unit vectors, since ``1 - cos(u, v) = |u - v|^2 / 2``; a zero vector is at
    distance 1 from every other row, as in scikit-learn.  The Gram form loses the digits of pairs
    that are close to each other and far from the mean, so pairs with ``D2 < 2 tau |x|^2`` are
    evaluated again from their difference, O(d) each: ``tau`` is 1e-3 in float32 and 1e-6 in
    float64, which leaves every squared distance a relative error of a few ``eps / tau``, about 1e-4
    and 1e-9, and the usual ones, ``D2 ~ |x|^2``, one of a few eps.  Distances to itself are
    exactly 0.  l1 and chebyshev are evaluated in float64 by SciPy for NumPy arrays, feature by
    feature elsewhere.

    Parameters
    ----------
    X : array of shape (n, d)
        On any array namespace.  Integers count as float64 and halves as float32.
    metric : {"euclidean", "cosine", "l1", "chebyshev"}
        The distance.
    block_bytes : int, optional
        Size of a block, 32 MiB by default; a block has at least one row.

    Yields
    ------
    start, stop : int
        Range of the rows.
    D : array of shape (stop - start, n)
        Distances in the float dtype of `X`, yours to change.

    Raises
    ------
    InputError
        When X is not 2-D or not finite, or `block_bytes` is not positive.
    UnknownNameError
        For another metric.
    """
    xp = array_api_compat.array_namespace(X)
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    if block_bytes is not None and block_bytes <= 0:
        raise InputError(f"block_bytes is {block_bytes}; it must be positive. None means 32 MiB.")
    X = _as_points(xp, X)
    block_of = _BLOCKS[metric](xp, X)
    rows = _rows_per_block(X, block_bytes or BLOCK_BYTES)
    # A plain function around a generator: errors come at the call, not at the first block.
    return _blocks(xp, X, block_of, rows)


def segment_summer(codes, *, n_segments: int, dtype) -> Callable:
    """Return the function that sums the columns of a block that share a code.

    What does not depend on the block is built once here: on NumPy a one-hot matrix of n x 64
    entries at most, or for more segments a sparse one of n entries, whose product takes O(b n)
    time whatever the number of segments.  Other namespaces build the one-hot anew for each run of
    4096 columns, O(b n n_segments) time at the speed of a matrix product.  float32 columns are
    summed in runs of 4096, which are added up in float64.

    Parameters
    ----------
    codes : array of int, shape (n,)
        Segment of each column; a column whose code is not in ``0..n_segments - 1`` is left out.
    n_segments : int
        Number of segments; an empty one sums to 0.
    dtype : dtype
        Float dtype of the blocks.

    Returns
    -------
    callable
        ``sums(values)`` with values of shape (b, n) on the namespace of `codes` returns float64 of
        shape (b, n_segments), for float32 values exact to about 1e-6 relative, whatever n is.
    """
    xp = array_api_compat.array_namespace(codes)
    n, device = codes.shape[0], array_api_compat.device(codes)
    on_numpy = array_api_compat.is_numpy_namespace(xp)
    # float64 needs no runs; elsewhere they also bound the one-hot.
    run = max(n, 1) if on_numpy and dtype == xp.float64 else _RUN
    runs = [slice(i, min(i + run, n)) for i in range(0, n, run)]
    if on_numpy:
        one_hot = _numpy_one_hot(codes, n_segments, dtype)
        products = [(columns, _product(one_hot[columns])) for columns in runs]
    else:
        segments = xp.arange(n_segments, dtype=codes.dtype, device=device)[None, :]

        def times_one_hot(values, columns):
            one_hot = xp.astype(codes[columns][:, None] == segments, values.dtype)
            return values @ one_hot

        products = [
            (columns, functools.partial(times_one_hot, columns=columns)) for columns in runs
        ]

    def sums(values):
        total = xp.zeros((values.shape[0], n_segments), dtype=xp.float64, device=device)
        for columns, product in products:
            total += xp.astype(product(values[:, columns]), xp.float64)
        return total

    return sums


def _numpy_one_hot(codes, n_segments: int, dtype):
    """Return the (n, n_segments) indicator matrix, dense where its product is the faster one."""
    if n_segments <= _DENSE_SEGMENTS:
        return (codes[:, None] == np.arange(n_segments)).astype(dtype)
    from scipy.sparse import csr_array

    kept = (codes >= 0) & (codes < n_segments)
    starts = np.concatenate([[0], np.cumsum(kept)])
    data = np.ones(starts[-1], dtype=dtype)
    return csr_array((data, codes[kept], starts), shape=(len(codes), n_segments))


def _product(one_hot) -> Callable:
    if isinstance(one_hot, np.ndarray):
        return lambda values: values @ one_hot
    transposed = one_hot.T.tocsr()
    # Transposed, each product adds a contiguous row of `values.T`: five times faster than sorting
    # the columns for np.add.reduceat at 1000 segments.
    return lambda values: (transposed @ np.ascontiguousarray(values.T)).T


def _as_points(xp, X):
    """Return X as a finite 2-D array of float32 or float64."""
    if X.ndim != 2:
        raise InputError(
            f"X has shape {tuple(X.shape)}; it must be (n samples, d features). Reshape one "
            "feature to (n, 1), flatten images to (n, d)."
        )
    if not xp.isdtype(X.dtype, "real floating"):
        X = xp.astype(X, xp.float64)
    elif X.dtype not in (xp.float32, xp.float64):
        X = xp.astype(X, xp.float32)
    if not bool(xp.all(xp.isfinite(X))):
        raise InputError(
            "X contains NaN or infinity, for which no distance exists. Drop these samples or "
            "replace the values."
        )
    return X


def _rows_per_block(X, block_bytes: int) -> int:
    row_bytes = X.shape[0] * (8 if "64" in str(X.dtype) else 4)
    return max(block_bytes // max(row_bytes, 1), 1)


def _blocks(xp, X, block_of: Callable, rows: int) -> Iterator[tuple[int, int, object]]:
    n = X.shape[0]
    for start in range(0, n, rows):
        stop = min(start + rows, n)
        D = block_of(start, stop)
        yield start, stop, _fill_self(xp, D, start, value=0.0)


def _fill_self(xp, D, start: int, *, value: float):
    """Set the distance of each row of the block to itself."""
    rows = D.shape[0]
    device = array_api_compat.device(D)
    square = D[:, start : start + rows]
    itself = xp.eye(rows, dtype=xp.bool, device=device)
    D[:, start : start + rows] = xp.where(itself, xp.full_like(square, value), square)
    return D


# ---- euclidean and cosine: Gram form ------------------------------------------------------------


def _euclidean(xp, X) -> Callable:
    squared = _squared_blocks(xp, _centred(xp, X))

    def block_of(start: int, stop: int):
        return xp.sqrt(squared(start, stop))

    return block_of


def _cosine(xp, X) -> Callable:
    wide = xp.astype(X, xp.float64)
    # Scaled by the largest entry first: the squares of 1e200 and of 1e-200 are not finite numbers.
    largest = xp.max(xp.abs(wide), axis=1, keepdims=True) if X.shape[1] else wide[:, :0]
    zero = xp.all(wide == 0, axis=1)  # (n,)
    wide = wide / xp.where(largest > 0, largest, xp.ones_like(largest))
    norms = xp.sqrt(xp.sum(wide * wide, axis=1, keepdims=True))
    unit = wide / xp.where(norms > 0, norms, xp.ones_like(norms))
    # Centred before rounding to float32: embeddings in a narrow cone keep their digits.
    squared = _squared_blocks(xp, xp.astype(_centred(xp, unit), X.dtype))
    any_zero = bool(xp.any(zero))

    def block_of(start: int, stop: int):
        D = squared(start, stop) * 0.5
        if any_zero:
            undefined = zero[start:stop][:, None] | zero[None, :]
            D = xp.where(undefined, xp.ones_like(D), D)
        return D

    return block_of


def _centred(xp, X):
    if X.shape[0] == 0:
        return X
    # Any shift leaves distances alone; the float64 sum only makes it a good one for many rows.
    mean = xp.sum(X, axis=0, dtype=xp.float64) / X.shape[0]
    return X - xp.astype(mean, X.dtype)[None, :]


def _squared_blocks(xp, X) -> Callable:
    """Return the function that gives a block of squared distances of centred rows."""
    norms = xp.sum(X * X, axis=1)  # (n,)
    # eps / tau is the error that stays in a pair just above the threshold: the smaller tau, the
    # fewer pairs are evaluated twice.
    tau = 1e-3 if X.dtype == xp.float32 else 1e-6

    def block_of(start: int, stop: int):
        D2 = (X[start:stop, :] * -2.0) @ X.T
        D2 += norms[start:stop][:, None]
        D2 += norms[None, :]
        # The row's own norm stands for both: where the pair is close, the two are nearly equal.
        limit = (2 * tau) * norms[start:stop][:, None]
        D2 = _fill_self(xp, D2, start, value=float("inf"))
        close = limit > D2
        if bool(xp.any(close)):
            D2 = _reevaluate(xp, D2, X, close, start)
        return xp.clip(D2, 0.0, None)

    return block_of


def _reevaluate(xp, D2, X, close, start: int):
    """Replace the pairs where `close` by the squared norm of their difference."""
    i, j = xp.nonzero(close)
    pairs = max(BLOCK_BYTES // (8 * max(X.shape[1], 1)), 1)
    parts = []
    for first in range(0, i.shape[0], pairs):
        run = slice(first, min(first + pairs, i.shape[0]))
        difference = xp.take(X, i[run] + start, axis=0) - xp.take(X, j[run], axis=0)
        parts.append(xp.sum(difference * difference, axis=1))
    # `nonzero` and boolean assignment walk the block in the same order; assignment by integer
    # arrays is not in the standard.
    D2[close] = xp.concat(parts)
    return D2


# ---- l1 and chebyshev: no product form ----------------------------------------------------------


def _l1(xp, X) -> Callable:
    if array_api_compat.is_numpy_namespace(xp):
        return _cdist_blocks(X, "cityblock")
    return _feature_blocks(xp, X, lambda total, gap: total + gap)


def _chebyshev(xp, X) -> Callable:
    if array_api_compat.is_numpy_namespace(xp):
        return _cdist_blocks(X, "chebyshev")
    return _feature_blocks(xp, X, xp.maximum)


def _cdist_blocks(X, name: str) -> Callable:
    from scipy.spatial.distance import cdist

    wide = np.asarray(X, dtype=np.float64)

    def block_of(start: int, stop: int):
        return cdist(wide[start:stop], wide, metric=name).astype(X.dtype, copy=False)

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


_BLOCKS = {"euclidean": _euclidean, "cosine": _cosine, "l1": _l1, "chebyshev": _chebyshev}
