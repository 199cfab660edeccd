"""Scores of a clustering in its own space, with no truth.

One blocked pass over the distances serves every label set: the distances are most of the work, and
a grid asks for the silhouette of many clusterings in the same space.

A score that does not exist (fewer than two clusters, or as many as samples) is NaN here, where
scikit-learn raises: among many label sets, one bad set must not spoil the others.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from gpuclust import ops
from gpuclust.errors import InputError
from gpuclust.metrics.crosstab import as_mask


def is_defined(labels) -> bool:
    """Tell whether internal scores exist: 2 <= clusters <= n - 1.  O(n log n) time.

    Every value is a label, -1 too.
    """
    xp, labels = _on_namespace(labels)
    return 2 <= xp.unique_values(labels).shape[0] <= labels.shape[0] - 1


def silhouette_scores(
    X,
    labels_list: Sequence[Any],
    *,
    metric: str = "euclidean",
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
    keeps.  Memory: `ops.distance_blocks`, the indicators of `ops.segment_summer` (12 n bytes per
    label set on NumPy) and, for all label sets together, (rows of a block, clusters) float64.

    Precision: distances have the dtype of X, see `ops.distance_blocks`; their sums per cluster are
    float64 on NumPy (elsewhere float32 in runs of 4096 columns), and so is everything after.
    Against scikit-learn on real data: 1e-9 in float64 and 1e-5 in float32.

    Parameters
    ----------
    X : array of shape (n, d)
        The space, on any array namespace.
    labels_list : sequence of arrays of shape (n,)
        Label sets.  Integers; on NumPy also strings.
    metric : {"euclidean", "cosine", "l1", "chebyshev"}
        The distance.
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
        An undefined score is NaN, as an array all NaN.

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
    masks = [None] * len(labels_list) if masks is None else masks
    if len(masks) != len(labels_list):
        raise InputError(
            f"there are {len(masks)} masks for {len(labels_list)} label sets; give one each, None "
            "where all samples count."
        )
    sets = [_label_set(xp, X, *pair) for pair in zip(labels_list, masks, strict=True)]
    X, live = _without_dropped(xp, X, [one for one in sets if one.defined])
    # Also where no label set needs a distance: a bad X or metric is an error all the same.
    blocks = ops.distance_blocks(X, metric=metric, block_bytes=block_bytes)
    values = iter(_silhouettes(xp, blocks, live) if live else [])
    results = [next(values) if one.defined else _nan(xp, X, one.kept) for one in sets]
    return (
        results
        if samples
        else [
            float(xp.mean(s)) if one.defined else math.nan
            for one, s in zip(sets, results, strict=True)
        ]
    )


def calinski_harabasz_score(X, labels, *, mask=None) -> float:
    """Return scikit-learn's Calinski-Harabasz score, or NaN without 2 <= clusters <= n - 1.

    Delegates to ``sklearn.metrics.calinski_harabasz_score``.  O(n d) time and memory.

    Parameters
    ----------
    X : array of shape (n, d)
        The space.
    labels : array of int, shape (n,)
        Clusters; every value is a label.
    mask : array of bool, shape (n,), optional
        Samples to keep.

    Raises
    ------
    InputError
        When labels or mask do not fit X.
    """
    from sklearn.metrics import calinski_harabasz_score

    return _delegate(calinski_harabasz_score, X, labels, mask)


def davies_bouldin_score(X, labels, *, mask=None) -> float:
    """Return scikit-learn's Davies-Bouldin score, or NaN without 2 <= clusters <= n - 1.

    Delegates to ``sklearn.metrics.davies_bouldin_score``.  O(n d + k^2 d) time, O(n d + k^2)
    memory.  See `calinski_harabasz_score` for the arguments and errors.
    """
    from sklearn.metrics import davies_bouldin_score

    return _delegate(davies_bouldin_score, X, labels, mask)


def _delegate(score: Callable, X, labels, mask) -> float:
    xp, labels = _checked(labels, n=X.shape[0])
    if mask is not None:
        mask = as_mask(mask, n=X.shape[0])
        kept = xp.nonzero(xp.asarray(mask, device=array_api_compat.device(labels)))[0]
        X, labels = xp.take(X, kept, axis=0), labels[kept]
    return float(score(X, labels)) if is_defined(labels) else math.nan


# ---- label sets ---------------------------------------------------------------------------------


class _LabelSet(NamedTuple):
    """A label set coded 0..k-1 on the device of X; -1 where the mask drops the sample."""

    codes: Any  # (n,) int64
    counts: Any  # (k,) float64
    kept: int
    defined: bool  # 2 <= k <= kept - 1


def _label_set(xp, X, labels, mask) -> _LabelSet:
    n, device = X.shape[0], array_api_compat.device(X)
    own, labels = _checked(labels, n=n)
    codes = own.full(n, -1, dtype=own.int64, device=array_api_compat.device(labels))
    if mask is None:
        mask = own.ones_like(codes, dtype=own.bool)
    else:
        mask = own.asarray(as_mask(mask, n=n), device=array_api_compat.device(labels))
    unique = own.unique_all(labels[mask])
    codes[mask] = own.astype(own.reshape(unique.inverse_indices, (-1,)), own.int64)
    kept, k = int(own.count_nonzero(mask)), unique.counts.shape[0]
    codes = xp.asarray(codes, device=device)
    counts = xp.astype(xp.asarray(unique.counts, device=device), xp.float64)
    return _LabelSet(codes, counts, kept, defined=2 <= k <= kept - 1)


def _without_dropped(xp, X, sets: list[_LabelSet]):
    """Leave out the samples that no label set keeps: they need no distances."""
    if not sets:
        return X, sets
    kept = functools.reduce(operator.or_, [one.codes >= 0 for one in sets])
    if bool(xp.all(kept)):
        return X, sets
    rows = xp.nonzero(kept)[0]
    codes = [xp.take(one.codes, rows) for one in sets]
    sets = [one._replace(codes=own) for one, own in zip(sets, codes, strict=True)]
    return xp.take(X, rows, axis=0), sets


def _on_namespace(values):
    if not array_api_compat.is_array_api_obj(values):
        values = np.asarray(values)
    return array_api_compat.array_namespace(values), values


def _checked(labels, *, n: int):
    xp, labels = _on_namespace(labels)
    if labels.shape != (n,):
        raise InputError(
            f"labels has shape {tuple(labels.shape)} and X has {n} rows; labels must be of shape "
            f"({n},). Pass one label per row of X, in the same order."
        )
    return xp, labels


# ---- silhouette ---------------------------------------------------------------------------------


def _silhouettes(xp, blocks: Iterable, sets: list[_LabelSet]) -> list:
    """Return for each label set the silhouettes of the samples that it keeps."""
    sizes = [one.counts.shape[0] for one in sets]
    sums_of = ops.segment_summer([one.codes for one in sets], n_segments=sizes)
    parts: list[list] = [[] for _ in sets]
    for start, stop, D in blocks:
        sums, first = sums_of(D), 0  # (b, sum of k)
        for one, k, part in zip(sets, sizes, parts, strict=True):
            own = sums[:, first : first + k]
            part.append(_block_silhouettes(xp, own, one.codes[start:stop], one.counts))
            first += k
    return [xp.concat(part)[one.codes >= 0] for one, part in zip(sets, parts, strict=True)]


def _block_silhouettes(xp, sums, codes, counts):
    """Return silhouettes (b,) from sums of distances (b, k); meaningless where the code is -1."""
    itself = xp.clip(codes, 0, None)[:, None]  # (b, 1)
    within = xp.take_along_axis(sums, itself, axis=1)[:, 0]
    size = xp.take(counts, itself[:, 0])
    means = sums / counts[None, :]
    clusters = xp.arange(counts.shape[0], dtype=codes.dtype, device=array_api_compat.device(sums))
    means = xp.where(itself == clusters[None, :], xp.full_like(means, math.inf), means)
    b = xp.min(means, axis=1)
    # The sample itself adds exactly 0 to `within`, so size - 1 others are averaged.
    a = within / xp.clip(size - 1, 1.0, None)
    scale = xp.maximum(a, b)
    # A singleton counts 0, and so does a sample at distance 0 from both clusters.
    valid = (size > 1) & (scale > 0)
    s = (b - a) / xp.where(valid, scale, xp.ones_like(scale))
    return xp.where(valid, s, xp.zeros_like(s))


def _nan(xp, X, n: int):
    return xp.full(n, math.nan, dtype=xp.float64, device=array_api_compat.device(X))
