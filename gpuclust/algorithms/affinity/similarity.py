"""Similarities of affinity propagation on NumPy: minus the squared distances, compiled.

The messages, which read them, are in `sparse_messages`.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
from collections.abc import Callable

import numpy as np

from ...device.threads import one_blas_thread
from .jit import compiled
from .kernels import SEGMENT

# Rows of products in float64 at a time: they stay in the cache of a core.
_STEP = 32
# Pairs with a squared distance below this share of their squared norms are evaluated again.
_CLOSE = 2e-6


def empty_matrix(n: int) -> np.ndarray:
    """Allocate an (n, n) matrix of float32; pages take memory only once they are written.

    Raises
    ------
    MemoryError
        When 4 n^2 bytes of address space are not available.
    """
    # np.empty asks for huge pages, which has two costs.  A few entries per row would make the whole
    # matrix resident, and on fragmented memory the kernel takes a second for 10,000 rows.
    try:
        pages = mmap.mmap(-1, 4 * n * n)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise MemoryError(f"{4 * n * n} bytes for the similarities of {n} samples") from error
    if hasattr(mmap, "MADV_NOHUGEPAGE"):  # Linux, where huge pages may be the default
        with contextlib.suppress(OSError):  # refused by kernels without huge pages
            pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, np.float32).reshape(n, n)


def fill(S: np.ndarray, X: np.ndarray, over_rows: Callable) -> None:
    """Set S (n, n), float32, to minus the squared distances of the centered rows X (n, d), float64.

    O(n^2 d) time.  The values are those of `gram.squared_blocks`.

    Parameters
    ----------
    S : ndarray (n, n), float32
        Output.
    X : ndarray (n, d), float64
        Samples, with mean 0.
    over_rows : function
        From `row_mapper`; calls a function on ranges of rows.
    """
    # No block of distances is allocated in between: fresh memory, and waiting for the core that
    # draws noise, would take ten times as long as the products.
    norms, n = np.vecdot(X, X), X.shape[0]

    def rows(a: int, b: int) -> None:
        products = np.empty((_STEP, n))
        for start in range(a, b, _STEP):
            stop = min(start + _STEP, b)
            block = np.matmul(X[start:stop], X.T, out=products[: stop - start])
            _to_similarities(block, start, X, norms, S)

    # Threads of BLAS spin while they wait for one another, so each of our threads uses one.
    with one_blas_thread():
        over_rows(rows)


def locality_order(X: np.ndarray) -> np.ndarray:
    """Order the samples X (n, d) by locality: near samples mostly get near numbers.

    The leaves of a k-d tree, split at the median of the dimension with the largest variance, one
    after another (Bentley, 1975).  O(n d log n) time.

    Returns
    -------
    ndarray (n,), int64
        The sample at each place of the order.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.where(np.arange(256) % 2, 0.0, 9.0)[:, None]
    >>> [X[locality_order(X)[start : start + 128]].std() for start in (0, 128)]
    [np.float64(0.0), np.float64(0.0)]
    """
    order, parts = np.arange(len(X)), [(0, len(X))]
    while parts:
        start, stop = parts.pop()
        middle = (stop - start) // 2 // SEGMENT * SEGMENT  # leaves begin where segments do
        if middle:
            part = order[start:stop]
            dimension = X[part].var(axis=0).argmax() if X.shape[1] else 0
            order[start:stop] = part[np.argpartition(X[part, dimension], middle)]
            parts += [(start, start + middle), (start + middle, stop)]
    return order


# Kernels are functions of the module: numba's cache never finds a function with a closure.
@compiled
def _to_similarities(products, start, X, norms, S):
    for k in range(len(products)):
        row, i = products[k], start + k
        limit = -_CLOSE * norms[i]
        # The sample itself is always close, unless its norm is zero.
        if _scale(row, (norms[i], limit), norms, S[i]) > 1:
            for j in range(len(row)):
                if row[j] > limit:
                    S[i, j] = _minus_squared_distance(X[i], X[j])
        S[i, i] = 0


@compiled
def _scale(row, norm_and_limit, norms, s):
    """Turn products into similarities in `row`, float64, and `s`, float32; count close ones."""
    norm, limit = norm_and_limit
    close = 0
    for j in range(len(row)):
        row[j] = (row[j] + row[j]) - norm - norms[j]
        close += row[j] > limit
        s[j] = row[j]
    return close


@compiled
def _minus_squared_distance(x, y):
    total = 0.0
    for f in range(len(x)):
        total -= (x[f] - y[f]) ** 2
    return total
