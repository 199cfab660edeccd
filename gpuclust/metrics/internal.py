"""Scores of a clustering in its own space, with no truth.

One blocked pass over the distances serves every label set: the distances are most of the work, and
a grid asks for the silhouette of many clusterings in the same space.

A score that does not exist (fewer than two clusters, or as many as samples) is NaN here, where
scikit-learn raises: among many label sets, one bad set must not spoil the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from gpuclust import ops
from gpuclust.errors import InputError


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

    O(n^2 d) time once, and per label set O(n^2) on NumPy for many clusters, O(n^2 k) at the speed
    of a matrix product for few and on other namespaces.  Memory: `ops.distance_blocks` plus the
    indicators of `ops.segment_summer` per label set and (rows of a block, k) float64.

    Precision: distances have the dtype of X, see `ops.distance_blocks`; their sums per cluster are
    float64 (float32 in runs of 4096 columns), and so is everything after.  Against scikit-learn on
    real data: 1e-9 in float64 and 1e-5 in float32.

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
        When X is not a finite 2-D array, or labels or masks do not fit it.
    UnknownNameError
        For another metric.

    References
    ----------
    Rousseeuw: Silhouettes, Journal of Computational and Applied Mathematics 20, 1987.
    """
    xp = array_api_compat.array_namespace(X)
    # First, so that a bad X or metric is an error even where no label set needs a distance.
    blocks = ops.distance_blocks(X, metric=metric, block_bytes=block_bytes)
    masks = [None] * len(labels_list) if masks is None else masks
    if len(masks) != len(labels_list):
        raise InputError(
            f"there are {len(masks)} masks for {len(labels_list)} label sets; give one each, None "
            "where all samples count."
        )
    dtype = xp.float32 if X.dtype == xp.float32 else xp.float64
    sets = [_label_set(xp, X, *pair, dtype=dtype) for pair in zip(labels_list, masks, strict=True)]
    live = [one for one in sets if one.sums is not None]
    parts: dict[int, list] = {id(one): [] for one in live}
    if live:
        for start, stop, D in blocks:
            for one in live:
                parts[id(one)].append(_silhouettes(xp, D, one, start, stop))
    return [_finish(xp, X, one, parts.get(id(one)), samples=samples) for one in sets]


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
        mask = _checked_mask(mask, n=X.shape[0])
        kept = xp.nonzero(xp.asarray(mask, device=array_api_compat.device(labels)))[0]
        X, labels = xp.take(X, kept, axis=0), labels[kept]
    return float(score(X, labels)) if is_defined(labels) else math.nan


# ---- label sets ---------------------------------------------------------------------------------


class _LabelSet(NamedTuple):
    """A label set coded 0..k-1 on the device of X; -1 where the mask drops the sample."""

    codes: Any  # (n,)
    counts: Any  # (k,) float64
    kept: int
    sums: Callable | None  # (b, n) -> (b, k); None where the score does not exist


def _label_set(xp, X, labels, mask, *, dtype) -> _LabelSet:
    n, device = X.shape[0], array_api_compat.device(X)
    own, labels = _checked(labels, n=n)
    codes = own.full(n, -1, dtype=own.int64, device=array_api_compat.device(labels))
    if mask is None:
        mask = own.ones_like(codes, dtype=own.bool)
    else:
        mask = own.asarray(_checked_mask(mask, n=n), device=array_api_compat.device(labels))
    unique = own.unique_all(labels[mask])
    codes[mask] = own.astype(own.reshape(unique.inverse_indices, (-1,)), own.int64)
    kept, k = int(own.count_nonzero(mask)), unique.counts.shape[0]
    codes = xp.asarray(codes, device=device)
    counts = xp.astype(xp.asarray(unique.counts, device=device), xp.float64)
    exists = 2 <= k <= kept - 1
    sums = ops.segment_summer(codes, n_segments=k, dtype=dtype) if exists else None
    return _LabelSet(codes, counts, kept, sums)


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


def _checked_mask(mask, *, n: int):
    xp, mask = _on_namespace(mask)
    if mask.dtype != xp.bool or mask.shape != (n,):
        raise InputError(
            f"mask has dtype {mask.dtype} and shape {tuple(mask.shape)}; it must be boolean of "
            f"shape ({n},), True for the samples to keep, as in `labels != -1`."
        )
    return mask


# ---- silhouette ---------------------------------------------------------------------------------


def _silhouettes(xp, D, one: _LabelSet, start: int, stop: int):
    """Return the silhouettes of the rows ``start:stop``, meaningless where the mask drops them."""
    sums = one.sums(D)  # (b, k)
    device = array_api_compat.device(D)
    clusters = xp.arange(one.counts.shape[0], dtype=one.codes.dtype, device=device)
    own = one.codes[start:stop][:, None] == clusters[None, :]  # (b, k)
    within = xp.sum(xp.where(own, sums, xp.zeros_like(sums)), axis=1)
    size = xp.sum(xp.where(own, one.counts[None, :], xp.zeros_like(sums)), axis=1)
    means = sums / one.counts[None, :]
    b = xp.min(xp.where(own, xp.full_like(means, float("inf")), means), axis=1)
    # The sample itself adds exactly 0 to `within`, so size - 1 others are averaged.
    a = within / xp.clip(size - 1, 1.0, None)
    scale = xp.maximum(a, b)
    # A singleton counts 0, and so does a sample at distance 0 from both clusters.
    valid = (size > 1) & (scale > 0)
    s = (b - a) / xp.where(valid, scale, xp.ones_like(scale))
    return xp.where(valid, s, xp.zeros_like(s))


def _finish(xp, X, one: _LabelSet, parts: list | None, *, samples: bool):
    if parts is None:
        device = array_api_compat.device(X)
        nan = xp.full(one.kept, math.nan, dtype=xp.float64, device=device)
        return nan if samples else math.nan
    s = xp.concat(parts)[one.codes >= 0]
    return s if samples else float(xp.mean(s))
