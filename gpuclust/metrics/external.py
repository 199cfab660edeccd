"""External scores: pair counts, purity, matching, and all of them at once.

Names and results in edge cases are scikit-learn's.  `external_scores` builds the sparse contingency
table once for all scores, including those of `gpuclust.metrics.information`.  Only the Hungarian
matching of `cluster_accuracy` needs the dense table, and raises above `MAX_MATCHING_CELLS`.

Scores are Python floats, computed on the device of the labels.  Exceptions are the matching, which
copies the nonzeros of the table to the host, and entropies, which copy the distinct marginals.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ..arrays.transfer import to_host
from ..errors import InputError
from .crosstab import Contingency, contingency
from .information import information_scores

# Largest R * C of the dense table: 8 bytes each, and a copy of it in SciPy, make 0.8 GB.  Time
# grows faster still, as min(R, C)^2 max(R, C).  A density clusterer can return one cluster per
# sample, and that must not stop a whole grid.
MAX_MATCHING_CELLS = 50_000_000


def adjusted_rand_score(y: Any, labels: Any, *, mask: Any = None) -> float:
    """Return the Rand index adjusted for chance, as ``sklearn.metrics.adjusted_rand_score``.

    Pairs are counted in exact integers.  For arguments, errors and cost see `contingency`.

    References
    ----------
    Hubert, Arabie: Comparing partitions, Journal of Classification 2, 1985.

    Examples
    --------
    >>> adjusted_rand_score([0, 0, 1, 1], [1, 1, 0, 0])
    1.0
    """
    table = contingency(y, labels, mask=mask)
    return _adjusted_rand(table.n, _pair_counts(table))


def fowlkes_mallows_score(y: Any, labels: Any, *, mask: Any = None) -> float:
    """Return the geometric mean of pair precision and recall, as scikit-learn's of this name.

    Pairs are counted in exact integers.  0.0 if no pair is together in both, as for empty input.
    For arguments, errors and cost see `contingency`.

    References
    ----------
    Fowlkes, Mallows: A method for comparing two hierarchical clusterings, JASA 78, 1983.

    Examples
    --------
    >>> fowlkes_mallows_score([0, 0, 1, 1], [0, 0, 1, 2])
    0.7071067811865476
    """
    return _fowlkes_mallows(_pair_counts(contingency(y, labels, mask=mask)))


def purity_score(y: Any, labels: Any, *, mask: Any = None) -> float:
    """Return the share of samples in the most frequent class of their cluster.

    1.0 for empty input, as no sample is misplaced.  For arguments, errors and cost see
    `contingency`.

    Examples
    --------
    >>> purity_score([0, 0, 1, 1], [5, 5, 5, 7])
    0.75
    """
    return _purity(contingency(y, labels, mask=mask))


def cluster_accuracy(y: Any, labels: Any, *, mask: Any = None) -> float:
    """Return the share of samples matched by the best one-to-one map of clusters to classes.

    Hungarian matching (``scipy.optimize.linear_sum_assignment``) on the dense R x C table: 8 R C
    bytes and as many again in SciPy, and up to O(min(R, C)^2 max(R, C)) time.  The result is exact,
    so tables above `MAX_MATCHING_CELLS` raise instead of being approximated.  Clusters without a
    class count as wrong.  1.0 for empty input, as no sample is misplaced.

    For arguments and their errors see `contingency`.

    Raises
    ------
    InputError
        If R * C is above `MAX_MATCHING_CELLS` (5e7).

    Examples
    --------
    >>> cluster_accuracy([0, 0, 0, 1], [4, 4, 9, 9])
    0.75
    """
    table = contingency(y, labels, mask=mask)
    if not _can_match(table):
        rows, cols = table.row_sums.shape[0], table.col_sums.shape[0]
        raise InputError(
            f"{rows} classes times {cols} clusters make a table of {rows * cols} cells; the exact "
            f"matching takes at most {MAX_MATCHING_CELLS}, for its memory and time. Use "
            "purity_score or adjusted_rand_score, which need no dense table, or fewer clusters."
        )
    return _accuracy(table)


def external_scores(y: Any, labels: Any, *, mask: Any = None) -> dict[str, float]:
    """Return all external scores from one contingency table.

    Keys: ``ami``, ``ami_true`` (normalized by H(y)), ``nmi``, ``ari``, ``fmi``, ``homogeneity``,
    ``completeness``, ``v_measure``, ``purity``, ``accuracy``.  For arguments, errors and cost see
    `contingency`.

    ``accuracy`` is NaN if R * C is above `MAX_MATCHING_CELLS` (5e7), where `cluster_accuracy`
    raises, so that the other scores are still returned.

    Examples
    --------
    >>> scores = external_scores([0, 0, 1, 1], [5, 5, 5, 7])
    >>> scores["purity"], scores["accuracy"], round(scores["nmi"], 3)
    (0.75, 0.75, 0.344)
    """
    table = contingency(y, labels, mask=mask)
    info, pairs = information_scores(table), _pair_counts(table)
    return {
        "ami": info["ami"],
        "ami_true": info["ami_true"],
        "nmi": info["nmi"],
        "ari": _adjusted_rand(table.n, pairs),
        "fmi": _fowlkes_mallows(pairs),
        "homogeneity": info["homogeneity"],
        "completeness": info["completeness"],
        "v_measure": info["v_measure"],
        "purity": _purity(table),
        "accuracy": _accuracy(table) if _can_match(table) else math.nan,
    }


class _PairCounts(NamedTuple):
    """Ordered pairs of samples with equal labels, as in ``sklearn.metrics.pair_confusion_matrix``.

    Each unordered pair counts twice.
    """

    in_both: int
    in_y: int
    in_labels: int


def _pair_counts(table: Contingency) -> _PairCounts:
    xp = array_api_compat.array_namespace(table.counts)
    # Sums of squares are at most n**2, exact in int64 for n up to 3e9.  The products computed from
    # them need Python integers.
    sums = (table.counts, table.row_sums, table.col_sums)
    squares = to_host(xp.stack([xp.sum(one * one) for one in sums])).tolist()
    return _PairCounts(*(square - table.n for square in squares))


def _adjusted_rand(n: int, pairs: _PairCounts) -> float:
    tp = pairs.in_both
    fn, fp = pairs.in_y - tp, pairs.in_labels - tp
    if fn == 0 and fp == 0:
        return 1.0
    tn = n * (n - 1) - tp - fn - fp
    return 2 * (tp * tn - fn * fp) / ((tp + fn) * (fn + tn) + (tp + fp) * (fp + tn))


def _fowlkes_mallows(pairs: _PairCounts) -> float:
    tp = pairs.in_both
    return math.sqrt(tp / pairs.in_y) * math.sqrt(tp / pairs.in_labels) if tp else 0.0


def _purity(table: Contingency) -> float:
    if table.n == 0:
        return 1.0
    xp = array_api_compat.array_namespace(table.counts)
    # Sorted by (cluster, count): the last entry of a cluster is its most frequent class.
    keys = xp.sort(table.cols * (table.n + 1) + table.counts)
    clusters, counts = keys // (table.n + 1), keys % (table.n + 1)
    last = xp.concat([clusters[1:] != clusters[:-1], xp.ones_like(clusters[:1], dtype=xp.bool)])
    return int(xp.sum(xp.where(last, counts, xp.zeros_like(counts)))) / table.n


def _can_match(table: Contingency) -> bool:
    return table.row_sums.shape[0] * table.col_sums.shape[0] <= MAX_MATCHING_CELLS


def _accuracy(table: Contingency) -> float:
    from scipy.optimize import linear_sum_assignment

    if table.n == 0:
        return 1.0
    dense = np.zeros((table.row_sums.shape[0], table.col_sums.shape[0]))
    xp = array_api_compat.array_namespace(table.counts)
    rows, cols, counts = to_host(xp.stack([table.rows, table.cols, table.counts]))
    dense[rows, cols] = counts
    matched = linear_sum_assignment(dense, maximize=True)
    return float(dense[matched].sum() / table.n)
