"""Scores of a clustering against the truth: pairs, purity, matching, and all of them at once.

Names and edge-case answers are scikit-learn's where it has the score.  `external_scores` builds the
sparse contingency once for all scores, those of `gpuclust.metrics.information` included.  Only the
Hungarian matching of `cluster_accuracy` needs the dense table, and it refuses one above
`MAX_MATCHING_CELLS`.

Scores are Python floats.  Everything is computed on the device of the labels, except the matching
and what `gpuclust.metrics.information` makes of the marginals: to the host go the nonzeros of the
table (where it may be matched) and its distinct marginals.
"""

from __future__ import annotations

import math

import array_api_compat
import numpy as np

from ..arrays.transfer import to_host
from ..errors import InputError
from .crosstab import Contingency, contingency
from .information import information_scores

# Cells R * C of the dense table: 8 bytes each, and as many for the copy that scipy negates, make
# 0.8 GB.  Time grows faster still, as min(R, C)^2 max(R, C): one cluster per sample, which a
# density clusterer can return, must not stop a whole grid.
MAX_MATCHING_CELLS = 50_000_000


def adjusted_rand_score(y, labels, *, mask=None) -> float:
    """Return the Rand index adjusted for chance, as ``sklearn.metrics.adjusted_rand_score``.

    Pairs are counted in exact integers.  See `contingency` for the arguments, errors and cost.

    References
    ----------
    Hubert, Arabie: Comparing partitions, Journal of Classification 2, 1985.
    """
    table = contingency(y, labels, mask=mask)
    return _adjusted_rand(table.n, *_pairs_together(table))


def fowlkes_mallows_score(y, labels, *, mask=None) -> float:
    """Return the geometric mean of pair precision and recall, as scikit-learn's of this name.

    Pairs are counted in exact integers.  0.0 where no pair is together in both, as for empty input.
    See `contingency` for the arguments, errors and cost.
    """
    return _fowlkes_mallows(*_pairs_together(contingency(y, labels, mask=mask)))


def purity_score(y, labels, *, mask=None) -> float:
    """Return the share of samples that belong to the commonest class of their cluster.

    1.0 for empty input: no sample is misplaced.  See `contingency` for the arguments, errors and
    cost.
    """
    return _purity(contingency(y, labels, mask=mask))


def cluster_accuracy(y, labels, *, mask=None) -> float:
    """Return the share of samples matched under the best one-to-one map of clusters to classes.

    Hungarian matching (``scipy.optimize.linear_sum_assignment``) on the dense R x C table, the one
    place where it is built: 8 R C bytes and as many again in scipy, and up to
    O(min(R, C)^2 max(R, C)) time.  The answer is exact, so a table above `MAX_MATCHING_CELLS` is
    refused rather than approximated.  A cluster left without a class counts as wrong.  1.0 for
    empty input: no sample is misplaced.

    See `contingency` for the arguments and its errors.

    Raises
    ------
    InputError
        When R * C is above `MAX_MATCHING_CELLS` (5e7).
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


def external_scores(y, labels, *, mask=None) -> dict[str, float]:
    """Return every external score from one contingency.

    Keys: ``ami``, ``ami_true`` (normalised by H(y)), ``nmi``, ``ari``, ``fmi``, ``homogeneity``,
    ``completeness``, ``v_measure``, ``purity``, ``accuracy``.  See `contingency` for the arguments,
    errors and cost.

    ``accuracy`` is NaN when R * C is above `MAX_MATCHING_CELLS` (5e7), where `cluster_accuracy`
    raises: its dense table takes 8 R C bytes (and as many again in scipy) and
    O(min(R, C)^2 max(R, C)) time, and one score out of reach must not cost the others.
    """
    table = contingency(y, labels, mask=mask)
    info, pairs = information_scores(table), _pairs_together(table)
    return {
        "ami": info["ami"],
        "ami_true": info["ami_true"],
        "nmi": info["nmi"],
        "ari": _adjusted_rand(table.n, *pairs),
        "fmi": _fowlkes_mallows(*pairs),
        "homogeneity": info["homogeneity"],
        "completeness": info["completeness"],
        "v_measure": info["v_measure"],
        "purity": _purity(table),
        "accuracy": _accuracy(table) if _can_match(table) else math.nan,
    }


def _pairs_together(table: Contingency) -> tuple[int, int, int]:
    """Return twice the numbers of pairs together in both, in `y` and in `labels`."""
    xp = array_api_compat.array_namespace(table.counts)
    # The sum of squares is at most n**2: exact in int64 for n up to three thousand million; the
    # products that follow need Python's integers.
    sums = (table.counts, table.row_sums, table.col_sums)
    squares = to_host(xp.stack([xp.sum(one * one) for one in sums])).tolist()
    both, in_y, in_labels = (square - table.n for square in squares)
    return both, in_y, in_labels


def _adjusted_rand(n: int, tp: int, in_y: int, in_labels: int) -> float:
    fn, fp = in_y - tp, in_labels - tp
    if fn == 0 and fp == 0:
        return 1.0
    tn = n * (n - 1) - tp - fn - fp
    return 2 * (tp * tn - fn * fp) / ((tp + fn) * (fn + tn) + (tp + fp) * (fp + tn))


def _fowlkes_mallows(tp: int, in_y: int, in_labels: int) -> float:
    return math.sqrt(tp / in_y) * math.sqrt(tp / in_labels) if tp else 0.0


def _purity(table: Contingency) -> float:
    if table.n == 0:
        return 1.0
    xp = array_api_compat.array_namespace(table.counts)
    # Sorted by (cluster, count), the last entry of a cluster is its commonest class.
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
