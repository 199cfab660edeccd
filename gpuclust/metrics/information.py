"""Information-theoretic scores: mutual information, normalized and adjusted for chance.

Names and results in edge cases are scikit-learn's.  All are computed from the nonzeros of one
`Contingency` and its distinct marginals; for the expectation in the adjusted mutual information see
`gpuclust.metrics.expectation`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ..arrays import parameters
from .crosstab import Contingency, contingency
from .expectation import Marginal, expectation, marginal

NORMALIZERS = ("arithmetic", "true")


def mutual_info_score(y: Any, labels: Any, *, mask: Any = None) -> float:
    """Return the mutual information in nats, as ``sklearn.metrics.mutual_info_score``.

    For arguments, errors and cost see `contingency`.

    Examples
    --------
    >>> round(mutual_info_score([0, 0, 1, 1], [1, 1, 0, 0]), 4)  # log 2
    0.6931
    """
    return _mutual_information(contingency(y, labels, mask=mask))


def adjusted_mutual_info_score(
    y: Any, labels: Any, *, normalizer: str = "arithmetic", mask: Any = None
) -> float:
    """Return the mutual information adjusted for chance: 1 if equal, 0 on average if random.

    ``"arithmetic"`` is ``sklearn.metrics.adjusted_mutual_info_score``,
    ``(MI - E[MI]) / (mean(H(y), H(labels)) - E[MI])``.  ``"true"`` divides by ``H(y) - E[MI]``, so
    `labels` affect the denominator only through the expectation.  Its edge cases: 1.0 for equal
    partitions (two empty or two single-cluster ones too); otherwise 0.0 if the denominator is zero,
    as with one class in `y` or one cluster per sample.

    Parameters
    ----------
    y, labels, mask
        See `contingency`, also for errors and cost.
    normalizer : {"arithmetic", "true"}
        Upper bound of MI in the denominator: mean entropy, or entropy of `y`.

    Raises
    ------
    UnknownNameError
        If the normalizer is unknown.

    References
    ----------
    Vinh, Epps, Bailey: Information theoretic measures for clusterings comparison, JMLR 11, 2010.

    Examples
    --------
    >>> round(adjusted_mutual_info_score([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 2]), 4)
    0.2988
    """
    parameters.choice("normalizer", normalizer, NORMALIZERS)
    info = _information(contingency(y, labels, mask=mask))
    emi = expectation(info.y, info.labels)
    return _adjusted_mutual_information(info, emi, normalizer)


def normalized_mutual_info_score(y: Any, labels: Any, *, mask: Any = None) -> float:
    """Return MI over the mean entropy, as ``sklearn.metrics.normalized_mutual_info_score``.

    For arguments, errors and cost see `contingency`.

    Examples
    --------
    >>> round(normalized_mutual_info_score([0, 0, 1, 1], [5, 5, 5, 7]), 4)
    0.3437
    """
    return _normalized_mutual_information(_information(contingency(y, labels, mask=mask)))


def homogeneity_completeness_v_measure(
    y: Any, labels: Any, *, mask: Any = None
) -> tuple[float, float, float]:
    """Return MI/H(y), MI/H(labels) and their harmonic mean, as scikit-learn's of this name.

    For arguments, errors and cost see `contingency`.

    References
    ----------
    Rosenberg, Hirschberg: V-measure, EMNLP-CoNLL 2007.

    Examples
    --------
    >>> scores = homogeneity_completeness_v_measure([0, 0, 1, 1], [0, 0, 1, 2])
    >>> [round(score, 4) for score in scores]
    [1.0, 0.6667, 0.8]
    """
    return _homogeneity_completeness_v(_information(contingency(y, labels, mask=mask)))


def information_scores(table: Contingency) -> dict[str, float]:
    """Return all scores of this module from one table, with one expectation.

    Keys: ``ami``, ``ami_true`` (normalized by H(y)), ``nmi``, ``homogeneity``, ``completeness``,
    ``v_measure``.

    Examples
    --------
    >>> information_scores(contingency([0, 0, 1, 1], [1, 1, 0, 0]))["ami"]
    1.0
    """
    info = _information(table)
    homogeneity, completeness, v_measure = _homogeneity_completeness_v(info)
    emi = expectation(info.y, info.labels)
    return {
        "ami": _adjusted_mutual_information(info, emi, "arithmetic"),
        "ami_true": _adjusted_mutual_information(info, emi, "true"),
        "nmi": _normalized_mutual_information(info),
        "homogeneity": homogeneity,
        "completeness": completeness,
        "v_measure": v_measure,
    }


# ---- entropy and mutual information -------------------------------------------------------------


class _Information(NamedTuple):
    """Mutual information and marginals of a contingency table, in nats."""

    mi: float
    y: Marginal
    labels: Marginal
    equal: bool  # same partition, up to the names of the clusters


def _information(table: Contingency) -> _Information:
    return _Information(
        mi=_mutual_information(table),
        y=marginal(table.row_sums),
        labels=marginal(table.col_sums),
        equal=table.counts.shape[0] == table.row_sums.shape[0] == table.col_sums.shape[0],
    )


def _mutual_information(table: Contingency) -> float:
    if min(table.row_sums.shape[0], table.col_sums.shape[0]) <= 1:
        return 0.0
    xp = array_api_compat.array_namespace(table.counts)
    outer = xp.take(table.row_sums, table.rows) * xp.take(table.col_sums, table.cols)
    counts, outer = xp.astype(table.counts, xp.float64), xp.astype(outer, xp.float64)
    terms = counts / table.n * (xp.log(counts) + math.log(table.n) - xp.log(outer))
    # As in scikit-learn: independent labelings give 0 and not the rounding of the logarithms.
    rounding = xp.abs(terms) < float(np.finfo(np.float64).eps)
    return max(float(xp.sum(xp.where(rounding, xp.zeros_like(terms), terms))), 0.0)


def _normalized_mutual_information(info: _Information) -> float:
    if info.y.groups == info.labels.groups <= 1:
        return 1.0
    if info.mi == 0.0:
        return 0.0
    return info.mi / (0.5 * (info.y.entropy + info.labels.entropy))


def _homogeneity_completeness_v(info: _Information) -> tuple[float, float, float]:
    h_true, h_pred = info.y.entropy, info.labels.entropy
    homogeneity = info.mi / h_true if h_true else 1.0
    completeness = info.mi / h_pred if h_pred else 1.0
    total = homogeneity + completeness
    v_measure = 2.0 * homogeneity * completeness / total if total else 0.0
    return homogeneity, completeness, v_measure


def _adjusted_mutual_information(info: _Information, emi: float, normalizer: str) -> float:
    if info.equal:
        # The quotient can be 0 / 0 up to rounding, if every sample is its own cluster.
        return 1.0
    if min(info.y.groups, info.labels.groups) <= 1:
        return 0.0
    h_true = info.y.entropy
    upper = h_true if normalizer == "true" else 0.5 * (h_true + info.labels.entropy)
    denominator = upper - emi
    # If the expectation reaches the upper bound, the numerator is zero too, and both are rounding.
    if denominator <= 1e-13 * max(upper, 1.0):
        return 0.0
    return (info.mi - emi) / denominator
