"""The mean mutual information of random clusterings, which adjusts the score for chance.

It is summed over unique pairs of marginals, around the mode of the hypergeometric only.
"""

from __future__ import annotations

from typing import NamedTuple

import array_api_compat
import numpy as np

from ..arrays.transfer import to_host
from ..errors import InputError

# Elements of one (window, pairs) block of the expectation: its dozen float64 temporaries of 128 KiB
# each stay in the cache of a core, which makes it twice as fast as blocks of 2 MiB.
_EMI_BLOCK = 1 << 14


def expected_mutual_information(a, b) -> float:
    """Return the mean mutual information (nats) of random clusterings with these marginals.

    Permutation model: the count of a (class, cluster) pair is hypergeometric.  The sum runs over
    unique pairs of marginals (at most about 2 n, whatever R x C), and for each pair over the window
    of nine standard deviations plus twenty around the mode; what lies outside weighs less than
    1e-16.  O(unique pairs * window) time, a few blocks of 128 KiB of memory beside the pairs.
    Agrees with ``sklearn.metrics.cluster.expected_mutual_information`` to 1e-9.

    Probabilities come from the ratio of neighbours and are normalised over the window, rather than
    from log-factorials: those reach 1e7 at n = 1e6, where their rounding alone is a relative error
    of 1e-9.  The summand is written as ``k log(k/mu) - (k - mu)``, which has the same mean because
    E[k] = mu, but is never negative, so that nothing cancels.

    Parameters
    ----------
    a, b : array-like of int, shapes (R,) and (C,)
        Samples per class and per cluster; both sum to n.  The expectation is computed on the host;
        of marginals on another device only the distinct ones are copied there, with how often
        each occurs: at most 16 sqrt(2 n) bytes per side, whatever R and C.

    Raises
    ------
    InputError
        When the sums differ.

    References
    ----------
    Vinh, Epps, Bailey: Information theoretic measures for clusterings comparison, JMLR 11, 2010.
    """
    return expectation(marginal(a), marginal(b))


class Marginal(NamedTuple):
    """Sizes of the classes or of the clusters, on the host: each size once.

    Attributes
    ----------
    sizes, times : array of int64, shape (m,)
        Positive sizes, and how many classes have each; m <= sqrt(2 n).
    """

    sizes: np.ndarray
    times: np.ndarray

    @property
    def n(self) -> int:
        """The number of samples."""
        return int(self.sizes @ self.times)

    @property
    def groups(self) -> int:
        """The number of classes."""
        return int(self.times.sum())

    @property
    def entropy(self) -> float:
        """The entropy in nats."""
        if self.groups <= 1:
            return 0.0
        p = self.sizes / self.n
        return -float(np.sum(self.times * p * np.log(p)))


def marginal(sums) -> Marginal:
    """Bring a marginal (array-like of int, any namespace) to the host: its distinct sizes."""
    if not array_api_compat.is_array_api_obj(sums):
        sums = np.asarray(sums, dtype=np.int64)
    # Distinct sizes are few, since they sum to n: found where they lie, they are all that crosses.
    xp = array_api_compat.array_namespace(sums)
    unique = xp.unique_counts(sums)
    sizes, times = to_host(xp.stack([xp.astype(values, xp.int64) for values in unique]))
    return Marginal(sizes[sizes > 0], times[sizes > 0])


def expectation(y: Marginal, labels: Marginal) -> float:
    """Return `expected_mutual_information` of the marginals."""
    if y.n != labels.n:
        raise InputError(
            f"the marginals sum to {y.n} and {labels.n}; both must sum to the number of samples. "
            "Pass row_sums and col_sums of one contingency."
        )
    if min(y.groups, labels.groups) <= 1:
        return 0.0
    n = y.n
    a, b, weight = _unique_pairs(y, labels)
    lo, width = _windows(a, b, n)
    # Neighbours in this order have windows of nearly one length: little padding in a block.
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


def _unique_pairs(y: Marginal, labels: Marginal) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each pair of distinct marginals and how often it occurs."""
    weight = np.outer(y.times, labels.times).astype(np.float64)
    a, b = np.repeat(y.sizes, len(labels.sizes)), np.tile(labels.sizes, len(y.sizes))
    return a, b, weight.ravel()


def _windows(a: np.ndarray, b: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return first count and length of the window that holds the hypergeometric mass."""
    a_float, b_float = a.astype(np.float64), b.astype(np.float64)
    mode = (a_float + 1) * (b_float + 1) // (n + 2)
    variance = a_float * b_float / n * ((n - a_float) / n) * ((n - b_float) / max(n - 1, 1))
    # Nine deviations for the Gaussian body, twenty for means below one, where the tail is Poisson.
    reach = np.ceil(9 * np.sqrt(variance) + 20)
    lo = np.maximum(np.maximum(a_float + b_float - n, mode - reach), 0).astype(np.int64)
    hi = np.minimum(np.minimum(a_float, b_float), mode + reach).astype(np.int64)
    return lo, hi - lo + 1


def _block_end(width: np.ndarray, start: int) -> int:
    """Return where the block from `start` ends: as many pairs as fit with padding, at least one."""
    stop = min(start + max(_EMI_BLOCK // int(width[start]), 1), len(width))
    # Widths grow, so the last one decides the padding; shrinking by its share is enough.
    return min(stop, start + max(_EMI_BLOCK // int(width[stop - 1]), 1))


def _mean_information(a, b, lo, n: int, width: int) -> np.ndarray:
    """Return E[k log(k / mu)] of the hypergeometric count k for each pair of marginals."""
    # One pair per column: the running sums go down the columns, many at a time.
    a, b, lo = (values.astype(np.float64)[None, :] for values in (a, b, lo))  # (1, pairs)
    k = lo + np.arange(width, dtype=np.float64)[:, None]  # (width, pairs)
    mu = a * b / n
    # P(k + 1) / P(k).  It is 0 at the largest possible k, which ends the column: every later
    # logarithm is -inf, so padding needs no mask.
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
