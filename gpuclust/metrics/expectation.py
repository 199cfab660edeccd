"""Expected mutual information of random clusterings, to adjust the score for chance.

Summed over distinct pairs of marginals, and only near the mode of the hypergeometric distribution.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ..arrays import accept
from ..arrays.transfer import to_host
from ..errors import InputError

# Elements of one (window, pairs) block.  Its dozen float64 temporaries of 128 KiB each stay in the
# cache of a core, which is twice as fast as blocks of 2 MiB.
_EMI_BLOCK = 1 << 14


def expected_mutual_information(a: Any, b: Any) -> float:
    """Return the mean mutual information (nats) of random clusterings with these marginals.

    Equals ``sklearn.metrics.cluster.expected_mutual_information`` to 1e-9.

    In the permutation model the count k of a (class, cluster) pair is hypergeometric.  The sum runs
    over distinct pairs of marginals (at most about 2 n, for every R x C), and for each pair over
    nine standard deviations plus twenty around the mode; the rest weighs less than 1e-16.
    O(distinct pairs * window) time; memory a few blocks of 128 KiB beside the pairs.

    Probabilities come from ratios of consecutive terms, normalized over the window.  Sums of
    log-factorials would reach 1e7 at n = 1e6, and their rounding alone is a relative error of 1e-9.
    The summand is ``k log(k/mu) - (k - mu)``: same mean, because E[k] = mu, and never negative, so
    nothing cancels.

    Parameters
    ----------
    a, b : array-like of int, shapes (R,) and (C,)
        Samples per class and per cluster; both sum to n.  Computed on the host: from other devices
        only the distinct sizes and their frequencies are copied, at most 16 sqrt(2 n) bytes each.

    Raises
    ------
    InputError
        If the sums differ, or the sizes are no whole numbers of at least 0.

    References
    ----------
    Vinh, Epps, Bailey: Information theoretic measures for clusterings comparison, JMLR 11, 2010.

    Examples
    --------
    >>> round(expected_mutual_information([2, 2], [2, 2]), 4)
    0.231
    """
    return expectation(marginal(_sizes(a, "a")), marginal(_sizes(b, "b")))


def _sizes(values: Any, name: str) -> Any:
    """Return sizes given by the user as an array of integers."""
    sizes = accept.labels(values, name=name)
    xp = array_api_compat.array_namespace(sizes)
    if sizes.shape[0] == 0:
        return xp.astype(sizes, xp.int64)
    numeric = not isinstance(sizes, np.ndarray) or sizes.dtype.kind in "iu"
    if not numeric or not xp.isdtype(sizes.dtype, "integral") or bool(xp.any(sizes < 0)):
        raise InputError(f"{name} must hold whole numbers of at least 0; got {sizes.dtype}.")
    return sizes


class Marginal(NamedTuple):
    """Distinct sizes of the classes, or of the clusters, on the host.

    Attributes
    ----------
    sizes, times : array of int64, shape (m,)
        Positive sizes, and the number of classes of each size; m <= sqrt(2 n).
    """

    sizes: np.ndarray
    times: np.ndarray

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.sizes @ self.times)

    @property
    def groups(self) -> int:
        """Number of classes."""
        return int(self.times.sum())

    @property
    def entropy(self) -> float:
        """Entropy in nats, as ``sklearn.metrics.cluster.entropy``."""
        if self.groups <= 1:
            return 0.0
        p = self.sizes / self.n
        return -float(np.sum(self.times * p * np.log(p)))


def marginal(sums: Any) -> Marginal:
    """Copy the distinct sizes of a marginal (array-like of int, any namespace) to the host.

    Examples
    --------
    >>> marginal([3, 1, 3]).sizes.tolist(), marginal([3, 1, 3]).times.tolist()
    ([1, 3], [1, 2])
    """
    if not array_api_compat.is_array_api_obj(sums):
        sums = np.asarray(sums, dtype=np.int64)
    # Made distinct on the device, so that little is copied: sizes sum to n, hence few are distinct.
    xp = array_api_compat.array_namespace(sums)
    unique = xp.unique_counts(sums)
    sizes, times = to_host(xp.stack([xp.astype(values, xp.int64) for values in unique]))
    return Marginal(sizes[sizes > 0], times[sizes > 0])


def expectation(y: Marginal, labels: Marginal) -> float:
    """Return `expected_mutual_information` of two marginals.

    Examples
    --------
    >>> round(expectation(marginal([2, 2]), marginal([2, 2])), 4)
    0.231
    """
    if y.n != labels.n:
        raise InputError(
            f"the marginals sum to {y.n} and {labels.n}; both must sum to the number of samples. "
            "Pass row_sums and col_sums of one contingency."
        )
    if min(y.groups, labels.groups) <= 1:
        return 0.0
    n = y.n
    a, b, weight = _distinct_pairs(y, labels)
    lo, width = _windows(a, b, n)
    # Sorted, so that the windows of a block have similar lengths and need little padding.
    order = np.argsort(width, kind="stable")
    a, b, weight, lo, width = a[order], b[order], weight[order], lo[order], width[order]
    total, start = 0.0, 0
    while start < len(a):
        stop = _block_end(width, start)
        block = slice(start, stop)
        mean = _mean_information(a[block], b[block], lo[block], n, int(width[stop - 1]))
        total += float(weight[block] @ mean)
        start = stop
    return total / n


def _distinct_pairs(y: Marginal, labels: Marginal) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each pair of distinct marginals and its frequency."""
    weight = np.outer(y.times, labels.times).astype(np.float64)
    a, b = np.repeat(y.sizes, len(labels.sizes)), np.tile(labels.sizes, len(y.sizes))
    return a, b, weight.ravel()


def _windows(a: np.ndarray, b: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return first count and length of the window with the hypergeometric mass."""
    a_float, b_float = a.astype(np.float64), b.astype(np.float64)
    mode = (a_float + 1) * (b_float + 1) // (n + 2)
    variance = a_float * b_float / n * ((n - a_float) / n) * ((n - b_float) / max(n - 1, 1))
    # Nine deviations for the Gaussian part; twenty more for means below one, with a Poisson tail.
    reach = np.ceil(9 * np.sqrt(variance) + 20)
    lo = np.maximum(np.maximum(a_float + b_float - n, mode - reach), 0).astype(np.int64)
    hi = np.minimum(np.minimum(a_float, b_float), mode + reach).astype(np.int64)
    return lo, hi - lo + 1


def _block_end(width: np.ndarray, start: int) -> int:
    """Return the end of the block from `start`: at least one pair, more if padding allows."""
    stop = min(start + max(_EMI_BLOCK // int(width[start]), 1), len(width))
    # Widths increase, so the last one sets the padding; one reduction by its share is enough.
    return min(stop, start + max(_EMI_BLOCK // int(width[stop - 1]), 1))


def _mean_information(
    a: np.ndarray, b: np.ndarray, lo: np.ndarray, n: int, width: int
) -> np.ndarray:
    """Return E[k log(k / mu)] of the hypergeometric count k for each pair of marginals."""
    # One pair per column, so that running sums down the columns are vectorized.
    a, b, lo = (values.astype(np.float64)[None, :] for values in (a, b, lo))  # (1, pairs)
    k = lo + np.arange(width, dtype=np.float64)[:, None]  # (width, pairs)
    mu = a * b / n
    # P(k + 1) / P(k) is 0 at the largest possible k.  All later logarithms are -inf, so padding
    # needs no mask.
    up = np.maximum((a - k) * (b - k), 0.0)
    down = (k + 1) * (n - a - b + k + 1)
    with np.errstate(divide="ignore"):
        steps = np.log(up[:-1] / down[:-1])
    log_p = np.zeros_like(k)
    np.cumsum(steps, axis=0, out=log_p[1:])
    p = np.exp(log_p - log_p.max(axis=0))
    delta = (k - mu) / mu
    # k log(k / mu) - (k - mu) with k = mu (1 + delta); at k = 0 it is mu.
    log_ratio = np.log1p(np.where(k > 0, delta, 0.0))
    information = mu * ((1 + delta) * log_ratio - delta)
    return (p * information).sum(axis=0) / p.sum(axis=0)
