"""Scores in nats: entropies, mutual information, and what is normalised or adjusted from them.

Names and edge-case answers are scikit-learn's.  What differs is the cost: everything is computed
from the nonzeros of one `Contingency` and its distinct marginals; for the expectation in the
adjusted mutual information see `gpuclust.metrics.expectation`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import array_api_compat
import numpy as np

from ..errors import unknown
from .crosstab import Contingency, contingency
from .expectation import Marginal, expectation, marginal

NORMALIZERS = ("arithmetic", "true")


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
    info = _information(contingency(y, labels, mask=mask))
    emi = expectation(info.y, info.labels)
    return _adjusted_mutual_information(info, emi, normalizer)


def normalized_mutual_info_score(y, labels, *, mask=None) -> float:
    """Return MI over the mean entropy, as ``sklearn.metrics.normalized_mutual_info_score``.

    See `contingency` for the arguments, errors and cost.
    """
    return _normalized_mutual_information(_information(contingency(y, labels, mask=mask)))


def homogeneity_completeness_v_measure(y, labels, *, mask=None) -> tuple[float, float, float]:
    """Return MI/H(y), MI/H(labels) and their harmonic mean, as scikit-learn's of this name.

    See `contingency` for the arguments, errors and cost.
    """
    return _homogeneity_completeness_v(_information(contingency(y, labels, mask=mask)))


def information_scores(table: Contingency) -> dict[str, float]:
    """Return every score of this module from one table, with one expectation.

    Keys: ``ami``, ``ami_true`` (normalised by H(y)), ``nmi``, ``homogeneity``, ``completeness``,
    ``v_measure``.
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
    """What the scores need of a contingency, in nats."""

    mi: float
    y: Marginal
    labels: Marginal
    equal: bool  # the same partition under other names


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
    # As scikit-learn: independent labellings must give 0, not the rounding of the logarithms.
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
        # Exact, where the quotient can be 0 / 0 up to rounding (every sample its own cluster).
        return 1.0
    if min(info.y.groups, info.labels.groups) <= 1:
        return 0.0
    h_true = info.y.entropy
    upper = h_true if normalizer == "true" else 0.5 * (h_true + info.labels.entropy)
    denominator = upper - emi
    # The expectation reaches H(y) only when nothing is left to explain: the numerator is then zero
    # too, and both are rounding.
    if denominator <= 1e-13 * max(upper, 1.0):
        return 0.0
    return (info.mi - emi) / denominator
