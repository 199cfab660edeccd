"""Silhouettes: the distance of each sample to its own cluster against the nearest other cluster.

One blocked pass over the distances serves all label sets, because the distances are most of the
work and a grid scores many clusterings of the same representation.

An undefined score (fewer than two clusters, or as many as samples) is NaN.  scikit-learn raises,
but here one bad label set must not stop the others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import array_api_compat

from ..arrays import accept, distances, parameters, segments, transfer
from .labelset import LabelSet, drop_unused, encode_all


def silhouette_scores(
    X: Any,
    labels_list: Sequence[Any],
    *,
    metric: str | tuple[str, str] = "euclidean",
    masks: Sequence[Any] | None = None,
    samples: bool = False,
    block_bytes: int | None = None,
) -> list:
    """Return the silhouette of each label set from one blocked pass over the distances.

    Each equals ``sklearn.metrics.silhouette_score(X[mask], labels[mask], metric=metric)``: a
    singleton has silhouette 0, and -1 is a label like any other.  A label set without
    2 <= clusters <= n - 1 gives NaN, where scikit-learn raises.

    O(n^2 d) time for all label sets together.  Per label set O(n^2) on NumPy for any number of
    clusters, and O(n^2 k) at the speed of matrix products on other namespaces.  n is the number of
    samples kept by at least one label set.  Memory: that of
    `gpuclust.arrays.distances.distance_blocks`, 4 n bytes per label set on NumPy, and float64 of
    shape (rows of a block, clusters of all label sets).

    Distances have the dtype of X.  Their sums per cluster are float64 on NumPy, and float32 in runs
    of 4096 columns on other namespaces; all later steps are float64.  Difference to scikit-learn on
    real data: 1e-9 in float64 and 1e-5 in float32.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Representation, see `gpuclust.arrays.accept.samples`.
    labels_list : sequence of (array-like of shape (n,), or LabelSet)
        Label sets: integers, on NumPy also strings.
    metric : {"euclidean", "cosine", "l1", "chebyshev"}, or ("euclidean", "cosine")
        Distance.  The pair shares one matrix product, which is most of the work.
    masks : sequence of (array-like of bool, shape (n,), or None), optional
        Samples to keep, per label set.  Only these have a silhouette, and only distances between
        them count.
    samples : bool
        Return the silhouette of each sample instead of the mean.
    block_bytes : int, optional
        Size of a block of distances, see `gpuclust.arrays.distances.distance_blocks`.

    Returns
    -------
    list of float, or list of float64 arrays of shape (kept samples,) with ``samples=True``
        An undefined score is NaN, an undefined array all NaN.  For two metrics a list of two such
        lists.

    Raises
    ------
    InputError
        If X is not 2-D, a row kept by a label set is not finite, labels are not finite, or labels
        or masks do not fit X.
    UnknownNameError
        If the metric is unknown.

    References
    ----------
    Rousseeuw: Silhouettes, Journal of Computational and Applied Mathematics 20, 1987.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [1.0], [5.0], [6.0]])
    >>> [round(s, 3) for s in silhouette_scores(X, [[0, 0, 1, 1], [0, 1, 0, 1]])]
    [0.798, -0.4]
    """
    if not (isinstance(metric, tuple) and metric == distances.PAIR):
        parameters.choice("metric", metric, distances.METRICS)
    parameters.flag("samples", samples)
    if block_bytes is not None:
        parameters.whole("block_bytes", block_bytes, high=2**62)
    X = accept.samples(X, least=0)
    xp = array_api_compat.array_namespace(X)
    sets = encode_all(X, labels_list, masks)
    X, scored = drop_unused(X, [one for one in sets if one.defined])
    # Called even if no label set needs distances, so that a bad X or metric always raises.
    # Silhouettes are ratios of distances, so their unit does not matter.
    blocks: Iterable = distances.distance_blocks(
        X, metric=metric, block_bytes=block_bytes, relative=True
    )
    several = isinstance(metric, tuple)
    if not several:
        blocks = ((start, stop, (D,)) for start, stop, D in blocks)
    found = _silhouettes(xp, blocks, scored) if scored else [None] * (len(metric) if several else 1)
    scores = [_scores(xp, sets, scored, s, samples=samples) for s in found]
    return scores if several else scores[0]


def _scores(
    xp: Any, sets: list[LabelSet], scored: list[LabelSet], s: Any, *, samples: bool
) -> list:
    """Return the scores of all label sets for one metric.

    `scored` are the label sets with defined silhouettes, `s` (n, scored label sets) contains them.
    """
    if samples:
        arrays = (s[:, i][one.labels >= 0] for i, one in enumerate(scored))
        return [next(arrays) if one.defined else _all_nan(xp, one) for one in sets]
    means = iter(_means(xp, s, scored))
    return [next(means) if one.defined else math.nan for one in sets]


def _all_nan(xp: Any, one: LabelSet) -> Any:
    device = array_api_compat.device(one.labels)
    return xp.full(one.kept, math.nan, dtype=xp.float64, device=device)


# ---- silhouette ---------------------------------------------------------------------------------


def _silhouettes(
    xp: Any, blocks: Iterable[tuple[int, int, tuple[Any, ...]]], sets: list[LabelSet]
) -> list[Any]:
    """Return silhouettes (n, label sets) for each metric.

    Entries of samples dropped by a label set have no meaning.
    """
    sums_of = segments.segment_summer(
        [one.labels for one in sets], n_segments=[one.k for one in sets]
    )
    columns = _columns(xp, sets)
    parts = [
        [_block_silhouettes(xp, sums_of(D), columns.own[start:stop, :], columns) for D in several]
        for start, stop, several in blocks
    ]
    return [xp.concat(part) for part in zip(*parts, strict=True)]


class _Columns(NamedTuple):
    """Clusters of all label sets as columns of one matrix, for few operations per block."""

    own: Any  # (n, label sets) int64, column of the cluster of each sample
    counts: Any  # (clusters of all label sets,) float64
    ends: list[int]  # last column of each label set, plus 1


def _columns(xp: Any, sets: list[LabelSet]) -> _Columns:
    ends = list(itertools.accumulate(one.k for one in sets))
    # A dropped sample is put in the first cluster; its silhouette is never read.
    own = [
        xp.clip(one.labels, 0, None) + (end - one.k) for one, end in zip(sets, ends, strict=True)
    ]
    return _Columns(xp.stack(own, axis=1), xp.concat([one.counts for one in sets]), ends)


def _block_silhouettes(xp: Any, sums: Any, own: Any, columns: _Columns) -> Any:
    """Return silhouettes (b, label sets) from sums of distances (b, clusters of all label sets)."""
    within = xp.take_along_axis(sums, own, axis=1)
    size = xp.reshape(xp.take(columns.counts, xp.reshape(own, (-1,))), own.shape)
    b = _nearest_other(xp, sums / columns.counts[None, :], own, columns.ends)
    # Divided by size - 1, because the sample itself adds exactly 0 to `within`.
    a = within / xp.clip(size - 1, 1.0, None)
    scale = xp.maximum(a, b)
    # Singletons, and samples at distance 0 from both clusters, have silhouette 0.
    valid = (size > 1) & (scale > 0)
    s = (b - a) / xp.where(valid, scale, xp.ones_like(scale))
    return xp.where(valid, s, xp.zeros_like(s))


def _nearest_other(xp: Any, means: Any, own: Any, ends: list[int]) -> Any:
    """Return the smallest mean distance to another cluster, (b, label sets)."""
    names = xp.arange(means.shape[1], dtype=own.dtype, device=array_api_compat.device(means))
    nearest, first = [], 0
    for i, end in enumerate(ends):
        others = means[:, first:end]
        is_own = own[:, i][:, None] == names[first:end][None, :]
        nearest.append(xp.min(xp.where(is_own, math.inf, others), axis=1))
        first = end
    return xp.stack(nearest, axis=1)


def _means(xp: Any, s: Any, sets: list[LabelSet]) -> list[float]:
    """Average over the samples kept by each label set; copy all averages to the host at once."""
    if not sets:
        return []
    kept = xp.stack([one.labels for one in sets], axis=1) >= 0
    totals = transfer.to_host(xp.sum(xp.where(kept, s, xp.zeros_like(s)), axis=0)).tolist()
    return [total / one.kept for total, one in zip(totals, sets, strict=True)]
