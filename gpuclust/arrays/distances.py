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
from .unit import Limits, in_unit, is_ordinary, unit_scaled

__all__ = [
    "METRICS",
    "PAIR",
    "as_floating",
    "check_and_scale",
    "check_array",
    "distance_blocks",
]

PAIR = ("euclidean", "cosine")  # computed together from one matrix product
# On NumPy, matrix products of fewer rows are slow, even where more rows exceed the cache.
_MIN_ROWS = 64
_MAX_BLOCK_BYTES = 32 << 20
# Matrix products of more rows than a block are a quarter faster, up to this size or that of X.
_PRODUCT_BYTES = 16 << 20
# float64 holds all integers up to this one.
_EXACT_INTEGERS = 2**53


def distance_blocks(
    X: Any,
    *,
    metric: str | tuple[str, str] = "euclidean",
    block_bytes: int | None = None,
    relative: bool = False,
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

    Samples so large or so small that squares in their dtype overflow or underflow are divided by a
    power of two first, see `gpuclust.arrays.unit`; their distances are float64.

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
    relative : bool
        Leave euclidean, l1 and chebyshev distances divided by that power of two, for results that
        do not depend on the unit.

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
        If X is not 2-D or not finite, a distance exceeds its dtype, or `block_bytes` is not
        positive.
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
    X = _floating_matrix(xp, X)
    scaled, unit = check_and_scale(xp, X, metric)
    block_of = _block_function(xp, X, scaled, metric, 1.0 if relative else unit)
    X = scaled
    rows = _rows_per_block(xp, X, block_bytes)
    computed = rows if block_bytes is not None else _rows_per_product(xp, X, rows)
    # The generator is another function, so that errors are raised by the call itself.
    return _blocks(xp, X.shape[0], block_of, rows=rows, computed=computed)


def check_array(xp: Any, X: Any) -> Any:
    """Return X (n, d) as float32 or float64, see `as_floating`.

    Raises
    ------
    InputError
        If X is not 2-D or not finite, or `as_floating` refuses it.

    Examples
    --------
    >>> import numpy as np
    >>> check_array(np, np.array([[1, 2]])).dtype
    dtype('float64')
    """
    X = _floating_matrix(xp, X)
    _check_finite(xp, X)
    return X


def _floating_matrix(xp: Any, X: Any) -> Any:
    if X.ndim != 2:
        raise InputError(
            f"X has shape {tuple(X.shape)}; it must be (n samples, d features). Reshape one "
            "feature to (n, 1), flatten images to (n, d)."
        )
    return as_floating(xp, X)


def _check_finite(xp: Any, X: Any) -> None:
    if not bool(xp.all(xp.isfinite(X))):
        raise InputError(
            "X contains NaN or infinity, and distances need finite values. Drop these samples or "
            "replace the values."
        )


def check_and_scale(
    xp: Any, X: Any, metric: str | tuple[str, str], *, limits: Limits | None = None
) -> tuple[Any, float]:
    """Check X as `check_array` does, and scale it as `unit_scaled` does, but not for cosine.

    Examples
    --------
    >>> import numpy as np
    >>> check_and_scale(np, np.array([[0.0], [3e-200]]), "l1")[1] < 1e-190
    True
    >>> check_and_scale(np, np.array([[0.0], [3e-200]]), "cosine")[1]
    1.0
    """
    X = _floating_matrix(xp, X)
    if metric != "cosine" and is_ordinary(xp, X, limits=limits):
        return X, 1.0
    _check_finite(xp, X)
    return (X, 1.0) if metric == "cosine" else unit_scaled(xp, X, limits=limits)


def as_floating(xp: Any, X: Any) -> Any:
    """Return X as float32 or float64; float16 becomes float32, all others become float64.

    Raises
    ------
    InputError
        If X is complex, or has integers beyond 2^53, which float64 rounds.

    Examples
    --------
    >>> import numpy as np
    >>> as_floating(np, np.array([7], dtype=np.uint8)).dtype
    dtype('float64')
    """
    if X.dtype in (xp.float32, xp.float64):
        return X
    if xp.isdtype(X.dtype, "complex floating"):
        raise InputError(f"X is complex ({X.dtype}); give real numbers, as X.real or abs(X).")
    if xp.isdtype(X.dtype, "real floating"):
        return xp.astype(X, xp.float32 if xp.finfo(X.dtype).bits == 16 else xp.float64)
    if X.dtype in (xp.int64, xp.uint64) and 0 not in X.shape:
        low, high = int(xp.min(X)), int(xp.max(X))
        if max(-low, high) > _EXACT_INTEGERS:
            raise InputError(
                f"X has integers from {low} to {high}; float64 is exact up to 2**53 only. Subtract "
                "a constant, or convert X to float64 if the rounding does not matter."
            )
    return xp.astype(X, xp.float64)


def _block_function(
    xp: Any, X: Any, scaled: Any, metric: str | tuple[str, str], unit: float
) -> Callable[[int, int], Any]:
    """Return ``block_of(start, stop)``, with the distances of `scaled` times `unit`."""
    if scaled is X:
        return _BLOCKS[metric](xp, X)
    if metric == PAIR:  # cosine distances change when a sample is subtracted
        euclidean = _block_function(xp, X, scaled, "euclidean", unit)
        cosine = _BLOCKS["cosine"](xp, X)
        return lambda start, stop: (euclidean(start, stop), cosine(start, stop))
    block_of = _BLOCKS[metric](xp, scaled)

    def in_unit_of_x(start: int, stop: int) -> Any:
        # The diagonal may be infinite until the caller sets it.
        D = gram.fill_diagonal(xp, block_of(start, stop), start, value=0.0)
        return in_unit(xp, D, unit)

    return in_unit_of_x


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
