"""Silhouettes: how much nearer each sample is to its own cluster than to the next one.

One blocked pass over the distances serves every label set: the distances are most of the work, and
a grid asks for the silhouette of many clusterings in the same space.

A score that does not exist (fewer than two clusters, or as many as samples) is NaN here, where
scikit-learn raises: among many label sets, one bad set must not spoil the others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import array_api_compat

from ..arrays import distances, segments, transfer
from .labelset import LabelSet, coded, without_dropped


def silhouette_scores(
    X,
    labels_list: Sequence[Any],
    *,
    metric: str | tuple[str, str] = "euclidean",
    masks: Sequence[Any] | None = None,
    samples: bool = False,
    block_bytes: int | None = None,
) -> list:
    """Return the silhouette of each label set from one blocked pass over the distances.

    Each equals ``sklearn.metrics.silhouette_score(X[mask], labels[mask], metric=metric)``: a
    singleton counts 0, every value is a label (-1 too).  A label set without 2 <= clusters <= n - 1
    gives NaN, where scikit-learn raises.

    O(n^2 d) time once, and per label set O(n^2) on NumPy whatever its number of clusters, O(n^2 k)
    at the speed of a matrix product elsewhere; n is the number of samples that some label set
    keeps.  Memory: `ops.distance_blocks`, the codes of `ops.segment_summer` (4 n bytes per
    label set on NumPy) and, for all label sets together, (rows of a block, clusters) float64.

    Precision: distances have the dtype of X, see `ops.distance_blocks`; their sums per cluster are
    float64 on NumPy (elsewhere float32 in runs of 4096 columns), and so is everything after.
    Against scikit-learn on real data: 1e-9 in float64 and 1e-5 in float32.

    Parameters
    ----------
    X : array of shape (n, d)
        The space, on any array namespace.
    labels_list : sequence of (array of shape (n,), or LabelSet)
        Label sets.  Integers; on NumPy also strings.
    metric : {"euclidean", "cosine", "l1", "chebyshev"}, or ("euclidean", "cosine")
        The distance; two of them share the matrix product that is most of the work.
    masks : sequence of (array of bool, shape (n,), or None), optional
        For each label set the samples to keep: only they have a score, and only distances between
        them count.
    samples : bool
        Return the silhouette of each sample instead of the mean.
    block_bytes : int, optional
        Size of a block of distances, see `ops.distance_blocks`.

    Returns
    -------
    list of float, or list of float64 arrays of shape (kept samples,) with ``samples=True``
        An undefined score is NaN, as an array all NaN.  For two metrics a list of two such lists.

    Raises
    ------
    InputError
        When X is not 2-D, a row that some label set keeps is not finite, or labels or masks do not
        fit X.
    UnknownNameError
        For another metric.

    References
    ----------
    Rousseeuw: Silhouettes, Journal of Computational and Applied Mathematics 20, 1987.
    """
    xp = array_api_compat.array_namespace(X)
    sets = coded(X, labels_list, masks)
    X, live = without_dropped(X, [one for one in sets if one.defined])
    # Also where no label set needs a distance: a bad X or metric is an error all the same.
    blocks = distances.distance_blocks(X, metric=metric, block_bytes=block_bytes)
    several = isinstance(metric, tuple)
    if not several:
        blocks = ((start, stop, (D,)) for start, stop, D in blocks)
    found = _silhouettes(xp, blocks, live) if live else [None] * (len(metric) if several else 1)
    scores = [_scores(xp, X, (sets, live), s, samples=samples) for s in found]
    return scores if several else scores[0]


def _scores(xp, X, coded_sets, s, *, samples: bool) -> list:
    """Return what `silhouette_scores` does for one metric, of its silhouettes (n, live sets)."""
    sets, live = coded_sets  # all, and those with a silhouette
    if samples:
        values = (s[:, i][one.codes >= 0] for i, one in enumerate(live))
        return [next(values) if one.defined else _nan(xp, X, one.kept) for one in sets]
    means = iter(_means(xp, s, live) if live else [])
    return [next(means) if one.defined else math.nan for one in sets]


# ---- silhouette ---------------------------------------------------------------------------------


def _silhouettes(xp, blocks: Iterable, sets: list[LabelSet]) -> list:
    """Return for each metric silhouettes (n, label sets).

    They mean nothing where a label set drops the sample.
    """
    sums_of = segments.segment_summer(
        [one.codes for one in sets], n_segments=[one.k for one in sets]
    )
    columns = _columns(xp, sets)
    parts = [
        [_block_silhouettes(xp, sums_of(D), columns.own[start:stop, :], columns) for D in several]
        for start, stop, several in blocks
    ]
    return [xp.concat(part) for part in zip(*parts, strict=True)]


class _Columns(NamedTuple):
    """The clusters of all label sets side by side: every array of a block is made at once."""

    own: Any  # (n, label sets) int64, column of the cluster of each sample
    counts: Any  # (all k,) float64
    ends: list[int]  # where each label set ends


def _columns(xp, sets: list[LabelSet]) -> _Columns:
    ends = list(itertools.accumulate(one.k for one in sets))
    # A dropped sample takes the first cluster: its silhouette is never looked at.
    own = [xp.clip(one.codes, 0, None) + (end - one.k) for one, end in zip(sets, ends, strict=True)]
    return _Columns(xp.stack(own, axis=1), xp.concat([one.counts for one in sets]), ends)


def _block_silhouettes(xp, sums, own, columns: _Columns):
    """Return silhouettes (b, label sets) from the sums of distances (b, all k)."""
    within = xp.take_along_axis(sums, own, axis=1)
    size = xp.reshape(xp.take(columns.counts, xp.reshape(own, (-1,))), own.shape)
    b = _nearest_other(xp, sums / columns.counts[None, :], own, columns.ends)
    # The sample itself adds exactly 0 to `within`, so size - 1 others are averaged.
    a = within / xp.clip(size - 1, 1.0, None)
    scale = xp.maximum(a, b)
    # A singleton counts 0, and so does a sample at distance 0 from both clusters.
    valid = (size > 1) & (scale > 0)
    s = (b - a) / xp.where(valid, scale, xp.ones_like(scale))
    return xp.where(valid, s, xp.zeros_like(s))


def _nearest_other(xp, means, own, ends: list[int]):
    """Return for each label set the least mean distance to a cluster that is not the own one."""
    names = xp.arange(means.shape[1], dtype=own.dtype, device=array_api_compat.device(means))
    nearest, first = [], 0
    for i, end in enumerate(ends):
        others = means[:, first:end]
        itself = own[:, i][:, None] == names[first:end][None, :]
        nearest.append(xp.min(xp.where(itself, math.inf, others), axis=1))
        first = end
    return xp.stack(nearest, axis=1)


def _means(xp, s, sets: list[LabelSet]) -> list[float]:
    """Average over the samples that each label set keeps; all averages cross at once."""
    kept = xp.stack([one.codes for one in sets], axis=1) >= 0
    totals = transfer.to_host(xp.sum(xp.where(kept, s, xp.zeros_like(s)), axis=0)).tolist()
    return [total / one.kept for total, one in zip(totals, sets, strict=True)]


def _nan(xp, X, n: int):
    return xp.full(n, math.nan, dtype=xp.float64, device=array_api_compat.device(X))
