"""Clusters of affinity propagation, given the exemplars."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from ...arrays.indexing import row_mapper, row_ranges, take_rows
from ...arrays.transfer import to_device, to_host


def refine(
    xp: Any, S: Any, order: np.ndarray, exemplars: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Move each exemplar to the best member of its cluster, then assign all samples again.

    The best member has the largest sum of similarities to the members, as in scikit-learn.

    Parameters
    ----------
    xp : namespace
        The namespace of `S`.
    S : array (n, n), float32
        Similarities of the samples in `order`.
    order : ndarray (n,), int64
        The sample at each place of S.
    exemplars : ndarray (k,), int64
        Sorted exemplars.

    Returns
    -------
    exemplars : ndarray (k,), int64
        Sorted; `k` may be smaller.
    labels : ndarray (n,), int64
        Place of each sample's exemplar in `exemplars`.
    """
    clusters = _assign(xp, S, order, exemplars)
    refined, place = exemplars.copy(), np.argsort(order)
    for k in range(exemplars.size):
        members = np.flatnonzero(clusters == k)
        refined[k] = members[np.argmax(_sums_within(xp, S, place[members]))]
    labels = refined[_assign(xp, S, order, refined)]
    centers, labels = np.unique(labels, return_inverse=True)
    return centers, labels


def _assign(xp: Any, S: Any, order: np.ndarray, exemplars: np.ndarray) -> np.ndarray:
    """Assign each sample to its most similar exemplar, and each exemplar to itself: (n,) int64."""
    columns = to_device(xp, np.argsort(order)[exemplars], S)
    with row_mapper(xp, S.shape[0]) as over_rows:
        nearest = over_rows(lambda a, b: xp.argmax(xp.take(S[a:b, :], columns, axis=1), axis=1))
    clusters = np.empty_like(order)
    clusters[order] = to_host(xp.concat(nearest))
    clusters[exemplars] = np.arange(exemplars.size)
    return clusters


def _sums_within(xp: Any, S: Any, members: np.ndarray) -> np.ndarray:
    """Sum the similarities of all members to each member (m,), in float64."""
    columns = to_device(xp, members, S)
    sums = xp.zeros(members.size, dtype=xp.float64, device=array_api_compat.device(S))
    for start, stop in row_ranges(xp, members.size, columns=S.shape[1]):
        rows = take_rows(xp, S, members[start:stop])
        sums += xp.sum(xp.take(rows, columns, axis=1), axis=0, dtype=xp.float64)
    return to_host(sums)
