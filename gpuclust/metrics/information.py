"""Scores in nats: entropies, mutual information, and what is normalised or adjusted from them.

Names and edge-case answers are scikit-learn's.  What differs is the cost: everything is computed
from the nonzeros of one `Contingency`, and the expectation in the adjusted mutual information is
summed over unique pairs of marginals, around the mode only.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import array_api_compat
import numpy as np

from gpuclust.errors import InputError, unknown
from gpuclust.metrics.crosstab import Contingency, contingency
from gpuclust.ops import to_host

NORMALIZERS = ("arithmetic", "true")
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
        Samples per class and per cluster; both sum to n.  Marginals on another device are copied to
        the host, 8 (R + C) bytes, where the expectation is computed.

    Raises
    ------
    InputError
        When the sums differ.

    References
    ----------
    Vinh, Epps, Bailey: Information theoretic measures for clusterings comparison, JMLR 11, 2010.
    """
    a, b = _marginal(a), _marginal(b)
    n = int(a.sum())
    if n != int(b.sum()):
        raise InputError(
            f"the marginals sum to {n} and {int(b.sum())}; both must sum to the number of samples. "
            "Pass row_sums and col_sums of one contingency."
        )
    a, b = a[a > 0], b[b > 0]
    if len(a) <= 1 or len(b) <= 1:
        return 0.0
    a, b, weight = _unique_pairs(a, b)
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


def mutual_info_score(y, labels, *, mask=None) -> float:
    """Return the mutual information in nats, as ``sklearn.metrics.mutual_info_score``.

    See `contingency` for the arguments, errors and cost.
    """
    return _mutual_information(contingency(y, labels, mask=mask))


def adjusted_mutual_info_score(y, labels, *, normalizer="arithmetic", mask=None) -> float:
    """Return the mutual information adjusted for chance: 1 for equal partitions, 0 for random ones.

    ``"arithmetic"`` is ``sklearn.metrics.adjusted_mutual_info_score``,
    ``(MI - E[MI]) / (mean(H(y), H(labels)) - E[MI])``.  ``"true"`` divides by ``H(y) - E[MI]``
    instead, which no choice of `labels` can change except through the expectation.  Its edge cases:
    equal partitions give 1.0 (two empty or two single-cluster ones too); otherwise a denominator of
    zero, as with one class in `y` or with one cluster per sample, gives 0.0.

    Parameters
    ----------
    y, labels, mask
        See `contingency`, also for errors.
    normalizer : {"arithmetic", "true"}
        What the score is divided by.

    Raises
    ------
    UnknownNameError
        For another normalizer.

    References
    ----------
    Vinh, Epps, Bailey: Information theoretic measures for clusterings comparison, JMLR 11, 2010.
    """
    if normalizer not in NORMALIZERS:
        raise unknown("normalizer", normalizer, NORMALIZERS)
    return _adjusted_mutual_information(_information(contingency(y, labels, mask=mask)), normalizer)


def normalized_mutual_info_score(y, labels, *, mask=None) -> float:
    """Return MI over the mean entropy, as ``sklearn.metrics.normalized_mutual_info_score``.

    See `contingency` for the arguments, errors and cost.
    """
    return _normalized_mutual_information(contingency(y, labels, mask=mask))


def homogeneity_completeness_v_measure(y, labels, *, mask=None) -> tuple[float, float, float]:
    """Return MI/H(y), MI/H(labels) and their harmonic mean, as scikit-learn's of this name.

    See `contingency` for the arguments, errors and cost.
    """
    return _homogeneity_completeness_v(contingency(y, labels, mask=mask))


def information_scores(table: Contingency) -> dict[str, float]:
    """Return every score of this module from one table, with one expectation.

    Keys: ``ami``, ``ami_true`` (normalised by H(y)), ``nmi``, ``homogeneity``, ``completeness``,
    ``v_measure``.
    """
    info = _information(table)
    homogeneity, completeness, v_measure = _homogeneity_completeness_v(table)
    return {
        "ami": _adjusted_mutual_information(info, "arithmetic"),
        "ami_true": _adjusted_mutual_information(info, "true"),
        "nmi": _normalized_mutual_information(table),
        "homogeneity": homogeneity,
        "completeness": completeness,
        "v_measure": v_measure,
    }


# ---- entropy and mutual information -------------------------------------------------------------


class _Information(NamedTuple):
    """What the adjusted scores need of a contingency, in nats."""

    mi: float
    emi: float
    h_true: float
    h_pred: float
    equal: bool  # the same partition under other names
    trivial: bool  # at most one class or one cluster


def _information(table: Contingency) -> _Information:
    return _Information(
        mi=_mutual_information(table),
        emi=expected_mutual_information(table.row_sums, table.col_sums),
        h_true=_entropy(table.row_sums),
        h_pred=_entropy(table.col_sums),
        equal=_is_equal(table),
        trivial=min(table.row_sums.shape[0], table.col_sums.shape[0]) <= 1,
    )


def _is_equal(table: Contingency) -> bool:
    return table.counts.shape[0] == table.row_sums.shape[0] == table.col_sums.shape[0]


def _entropy(sums) -> float:
    if sums.shape[0] <= 1:
        return 0.0
    xp = array_api_compat.array_namespace(sums)
    p = xp.astype(sums, xp.float64)
    p = p / xp.sum(p)
    return -float(xp.sum(p * xp.log(p)))


def _mutual_information(table: Contingency) -> float:
    if min(table.row_sums.shape[0], table.col_sums.shape[0]) <= 1:
        return 0.0
    xp = array_api_compat.array_namespace(table.counts)
    outer = xp.take(table.row_sums, table.rows) * xp.take(table.col_sums, table.cols)
    counts, outer = xp.astype(table.counts, xp.float64), xp.astype(outer, xp.float64)
    terms = counts / table.n * (xp.log(counts) + math.log(table.n) - xp.log(outer))
    # As scikit-learn: independent labellings must give 0, not the rounding of the logarithms.
    rounding = xp.abs(terms) < float(np.finfo(np.float64).eps)
    return max(float(xp.sum(xp.where(rounding, xp.zeros_like(terms), terms))), 0.0)


def _normalized_mutual_information(table: Contingency) -> float:
    if table.row_sums.shape[0] == table.col_sums.shape[0] <= 1:
        return 1.0
    mi = _mutual_information(table)
    if mi == 0.0:
        return 0.0
    return mi / (0.5 * (_entropy(table.row_sums) + _entropy(table.col_sums)))


def _homogeneity_completeness_v(table: Contingency) -> tuple[float, float, float]:
    mi = _mutual_information(table)
    h_true, h_pred = _entropy(table.row_sums), _entropy(table.col_sums)
    homogeneity = mi / h_true if h_true else 1.0
    completeness = mi / h_pred if h_pred else 1.0
    total = homogeneity + completeness
    v_measure = 2.0 * homogeneity * completeness / total if total else 0.0
    return homogeneity, completeness, v_measure


def _adjusted_mutual_information(info: _Information, normalizer: str) -> float:
    if info.equal:
        # Exact, where the quotient can be 0 / 0 up to rounding (every sample its own cluster).
        return 1.0
    if info.trivial:
        return 0.0
    upper = info.h_true if normalizer == "true" else 0.5 * (info.h_true + info.h_pred)
    denominator = upper - info.emi
    # The expectation reaches H(y) only when nothing is left to explain: the numerator is then zero
    # too, and both are rounding.
    if denominator <= 1e-13 * max(upper, 1.0):
        return 0.0
    return (info.mi - info.emi) / denominator


# ---- expectation --------------------------------------------------------------------------------


def _marginal(sums) -> np.ndarray:
    sums = to_host(sums) if array_api_compat.is_array_api_obj(sums) else sums
    return np.asarray(sums, dtype=np.int64)


def _unique_pairs(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each pair of distinct marginals and how often it occurs."""
    a, times_a = np.unique(a, return_counts=True)
    b, times_b = np.unique(b, return_counts=True)
    weight = np.outer(times_a, times_b).astype(np.float64)
    return np.repeat(a, len(b)), np.tile(b, len(a)), weight.ravel()


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
