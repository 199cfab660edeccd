"""Pairwise distances in blocks of rows, for all metrics and array namespaces.

The same code serves NumPy, CuPy and `array_api_strict`: functions take the namespace from their
input and create arrays on its device.  Work on n x n entries comes in blocks of rows, so memory
stays bounded for every n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import array_api_compat

from ..device.block_size import CACHE_BYTES, block_rows
from ..errors import InputError, unknown
from . import METRICS, euclidean_cosine, gram, minkowski

__all__ = ["METRICS", "PAIR", "check_array", "distance_blocks"]

PAIR = ("euclidean", "cosine")  # computed together from one matrix product
# On NumPy, matrix products of fewer rows are slow, even where more rows exceed the cache.
_MIN_ROWS = 64
_MAX_BLOCK_BYTES = 32 << 20
# Matrix products of more rows than a block are a quarter faster, up to this size or that of X.
_PRODUCT_BYTES = 16 << 20


def distance_blocks(
    X: Any, *, metric: str | tuple[str, str] = "euclidean", block_bytes: int | None = None
) -> Iterator[tuple[int, int, Any]]:
    """Yield ``(start, stop, D)``: distances from the rows ``start:stop`` of `X` to all its rows.

    Equals ``sklearn.metrics.pairwise_distances_chunked`` up to rounding.

    O(n^2 d) time.  Memory: a copy of `X` and two blocks of distances.  On NumPy, from 256 features
    on, up to 128 MiB more, see `gpuclust.arrays.symmetric`.  On other namespaces one block and a
    few temporaries of its size.

    Euclidean and cosine distances are matrix products of the centered rows; for cosine, of the
    centered unit vectors, since ``1 - cos(u, v) = |u - v|^2 / 2``.  A zero vector has cosine
    distance 1 to every other row, as in scikit-learn.  The matrix product loses digits for pairs
    that are close to each other and far from the mean.  Pairs with ``D2 < 2 tau |x|^2`` are
    therefore recomputed from their difference, in O(d) each, with ``tau`` 1e-3 in float32 and 1e-6
    in float64.  The relative error of a squared distance is then at most a few ``eps / tau``, about
    1e-4 and 1e-9, and usually a few eps.  The distance of a row to itself is exactly 0.

    l1 and chebyshev distances are computed in the dtype of `X` by compiled kernels on NumPy
    (relative error 1e-6 in float32), by torch on CuPy (1e-5), and feature by feature in float64 on
    other namespaces.  NumPy arrays use all cores; results do not depend on their number.

    Parameters
    ----------
    X : array of shape (n, d)
        On any array namespace.  Integers are converted to float64, float16 to float32.
    metric : {"euclidean", "cosine", "l1", "chebyshev"}, or ("euclidean", "cosine")
        Distance, or two of them from one matrix product, see `gpuclust.arrays.euclidean_cosine`.
    block_bytes : int, optional
        Size of a block, of one row at least.  By default 4 MiB on NumPy, or 64 rows if these are
        larger, up to 32 MiB.  On other namespaces see `gpuclust.device.block_size.block_bytes`.
        Scaled by `gpuclust.device.block_size.smaller_blocks`.

    Yields
    ------
    start, stop : int
        Range of the rows.
    D : array of shape (stop - start, n)
        Distances in the float dtype of `X`; the caller may change them.  For two metrics a tuple
        of two arrays.

    Raises
    ------
    InputError
        If X is not 2-D or not finite, or `block_bytes` is not positive.
    UnknownNameError
        If the metric is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0, 0.0], [3.0, 4.0]])
    >>> for start, stop, D in distance_blocks(X, metric="l1"):
    ...     print(start, stop, D.tolist())
    0 2 [[0.0, 7.0], [7.0, 0.0]]
    """
    xp = array_api_compat.array_namespace(X)
    if not isinstance(metric, str | tuple) or metric not in _BLOCKS:
        raise unknown("metric", metric, METRICS)
    if block_bytes is not None and block_bytes <= 0:
        raise InputError(
            f"block_bytes is {block_bytes}; it must be positive. None takes the default size."
        )
    X = check_array(xp, X)
    block_of = _BLOCKS[metric](xp, X)
    rows = _rows_per_block(xp, X, block_bytes)
    computed = rows if block_bytes is not None else _rows_per_product(xp, X, rows)
    # The generator is another function, so that errors are raised by the call itself.
    return _blocks(xp, X.shape[0], block_of, rows=rows, computed=computed)


def check_array(xp: Any, X: Any) -> Any:
    """Return X (n, d) as float32 or float64; integers become float64, float16 becomes float32.

    Raises
    ------
    InputError
        If X is not 2-D or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> check_array(np, np.array([[1, 2]])).dtype
    dtype('float64')
    """
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
            "X contains NaN or infinity, and distances need finite values. Drop these samples or "
            "replace the values."
        )
    return X


def _rows_per_block(xp: Any, X: Any, asked: int | None) -> int:
    row_bytes = X.shape[0] * (8 if X.dtype == xp.float64 else 4)
    cached = min(max(CACHE_BYTES, _MIN_ROWS * row_bytes), _MAX_BLOCK_BYTES)
    return block_rows(xp, row_bytes, cached=cached, asked=asked)


def _rows_per_product(xp: Any, X: Any, rows: int) -> int:
    """Return the number of rows computed at once, a multiple of the `rows` of a block."""
    if not array_api_compat.is_numpy_namespace(xp):
        return rows
    cached = min(X.nbytes, _PRODUCT_BYTES)
    return rows * max(block_rows(xp, X.shape[0] * X.itemsize, cached=cached) // rows, 1)


def _blocks(
    xp: Any, n: int, block_of: Callable[[int, int], Any], *, rows: int, computed: int
) -> Iterator[tuple[int, int, Any]]:
    """Compute `computed` rows of distances at once and yield them in blocks of `rows`."""
    for first in range(0, n, computed):
        last = min(first + computed, n)
        result = block_of(first, last)
        matrices = result if isinstance(result, tuple) else (result,)
        matrices = tuple(gram.fill_diagonal(xp, D, first, value=0.0) for D in matrices)
        for start in range(first, last, rows):
            stop = min(start + rows, last)
            parts = tuple(D[start - first : stop - first, :] for D in matrices)
            yield start, stop, parts if isinstance(result, tuple) else parts[0]


_BLOCKS: dict[str | tuple[str, ...], Callable[[Any, Any], Callable[[int, int], Any]]] = {
    PAIR: euclidean_cosine.euclidean_and_cosine_blocks,
    "euclidean": gram.euclidean_blocks,
    "cosine": gram.cosine_blocks,
    "l1": minkowski.l1_blocks,
    "chebyshev": minkowski.chebyshev_blocks,
}
