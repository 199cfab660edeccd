"""Scores from the centroids of clusters: Calinski-Harabasz and Davies-Bouldin.

Both use the same two passes over the samples: one for the centroids of all label sets, one for the
distances to them.  Sums are float64 and use differences, in blocks.  float32 samples far from the
origin therefore lose no precision, without a float64 copy of the representation.

An undefined score (fewer than two clusters, or as many as samples) is NaN, where scikit-learn
raises.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ..arrays import accept, distances, parameters, segments, transfer
from ..arrays.unit import SQUARES64
from ..device import block_size
from ..errors import InputError
from .labelset import LabelSet, drop_unused, encode_all

SCORES = ("calinski_harabasz", "davies_bouldin")
# A float64 block and its temporaries fit in the cache of a CPU.
_CACHE_BYTES = 1 << 20
_EPS = float(np.finfo(np.float64).eps)


def calinski_harabasz_score(X: Any, labels: Any, *, mask: Any = None) -> float:
    """Return scikit-learn's Calinski-Harabasz score, or NaN without 2 <= clusters <= n - 1.

    Ratio of the scatter between centroids to the scatter within clusters; 1.0 if the latter is
    zero.  For arguments, errors, precision and cost see `dispersion_scores`.

    References
    ----------
    Calinski, Harabasz: A dendrite method for cluster analysis, Comm. in Statistics 3, 1974.

    Examples
    --------
    >>> calinski_harabasz_score(np.array([[0.0], [1.0], [5.0], [6.0]]), [0, 0, 1, 1])
    50.0
    """
    return _single("calinski_harabasz", X, labels, mask)


def davies_bouldin_score(X: Any, labels: Any, *, mask: Any = None) -> float:
    """Return scikit-learn's Davies-Bouldin score, or NaN without 2 <= clusters <= n - 1.

    For each pair of clusters, the sum of their mean distances to the centroid is divided by the
    distance of the centroids.  The score is the mean over clusters of the largest such ratio.
    Pairs of coincident centroids are ignored.  0.0 if all mean distances, or all distances of
    centroids, are zero up to rounding.  scikit-learn compares them with 1e-8, so its score is 0.0
    for all samples below that size; here the unit of X does not matter.  For arguments, errors,
    precision and cost see `dispersion_scores`.

    References
    ----------
    Davies, Bouldin: A cluster separation measure, IEEE PAMI 1, 1979.

    Examples
    --------
    >>> davies_bouldin_score(np.array([[0.0], [1.0], [5.0], [6.0]]), [0, 0, 1, 1])
    0.2
    """
    return _single("davies_bouldin", X, labels, mask)


def dispersion_scores(
    X: Any,
    labels_list: Sequence[Any],
    *,
    masks: Sequence[Any] | None = None,
    scores: Sequence[str] = SCORES,
) -> dict[str, list[float]]:
    """Return both scores for many label sets from two passes over the samples.

    O(n d) time per label set, plus O(k^2 d) for Davies-Bouldin.  On namespaces other than NumPy
    centroids are matrix products, O(n d k).  Memory: 16 k d + 16 n bytes per label set, a few
    blocks (1 MiB on NumPy, 256 MiB elsewhere), and the memory of
    `gpuclust.arrays.segments.segment_summer` and `gpuclust.arrays.distances.distance_blocks`.
    Never (n, k) or (k, k, d).

    The precision is float64 for every dtype of X.  Scatter and centroid distances below a
    centroid's rounding error (eps x norm x cluster size) count as zero: such centroids coincide.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Representation, see `gpuclust.arrays.accept.samples`.
    labels_list : sequence of (array-like of shape (n,), or LabelSet)
        Label sets; -1 is a label like any other.
    masks : sequence of (array-like of bool, shape (n,), or None), optional
        Samples to keep, per label set.
    scores : sequence of {"calinski_harabasz", "davies_bouldin"}
        Scores to compute.

    Returns
    -------
    dict of str to list of float
        Values of the label sets, by score.

    Raises
    ------
    InputError
        If X is not 2-D, a row kept by a label set is not finite, or labels or masks do not fit X.
    UnknownNameError
        If a score is unknown.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [5.0], [6.0]])
    >>> dispersion_scores(X, [[0, 0, 1, 1]])
    {'calinski_harabasz': [50.0], 'davies_bouldin': [0.2]}
    """
    scores = [parameters.choice("score", one, SCORES) for one in _scores(scores)]
    X = accept.samples(X, least=0)
    xp = array_api_compat.array_namespace(X)
    sets = encode_all(X, labels_list, masks)
    X, scored = drop_unused(X, [one for one in sets if one.defined])
    # Both scores are ratios, so the unit of X does not matter.
    X = distances.check_and_scale(xp, X, "euclidean", limits=SQUARES64)[0]
    found = _compute(xp, X, scored, scores) if scored else {score: [] for score in scores}
    return {score: _with_nan(sets, found[score]) for score in scores}


def _scores(scores: Any) -> list[Any]:
    given = parameters.entries("scores", scores)
    if not given:
        raise InputError(f"scores is empty; give one or both of {', '.join(SCORES)}.")
    return given


def _single(score: str, X: Any, labels: Any, mask: Any) -> float:
    return dispersion_scores(X, [labels], masks=[mask], scores=[score])[score][0]


def _with_nan(sets: list[LabelSet], values: Sequence[float]) -> list[float]:
    """Insert NaN for the label sets without a score."""
    rest = iter(values)
    return [next(rest) if one.defined else math.nan for one in sets]


# ---- statistics used by both scores -------------------------------------------------------------


class _Spread(NamedTuple):
    """Statistics of one label set, float64."""

    centroids: Any  # (k, d)
    counts: Any  # (k,)
    rounding: Any  # (k,) bound on the rounding error of a centroid
    within: Any  # () sum of squared distances of samples to their centroid
    mean_distance: Any  # (k,) mean distance of samples to their centroid
    n: int


def _compute(
    xp: Any, X: Any, sets: list[LabelSet], scores: Sequence[str]
) -> dict[str, list[float]]:
    functions = {"calinski_harabasz": _calinski_harabasz, "davies_bouldin": _davies_bouldin}
    spreads = _spreads(xp, X, sets)
    values = [functions[score](xp, spread) for score in scores for spread in spreads]
    # Stacked, so that one copy brings the values of all label sets to the host.
    rows = transfer.to_host(xp.reshape(xp.stack(values), (len(scores), len(sets)))).tolist()
    return dict(zip(scores, rows, strict=True))


def _spreads(xp: Any, X: Any, sets: list[LabelSet]) -> list[_Spread]:
    sums_of = segments.segment_summer(
        [one.labels for one in sets], n_segments=[one.k for one in sets]
    )
    centroids = _centroids(xp, _sums(xp, X, sums_of), sets)
    squared = _squared_distances(xp, X, centroids, sets)  # (label sets, n)
    # Row i is for label set i; its sums over the segments of the other label sets are not used.
    # Ignoring them is cheaper than one product per label set.
    distance_sums = _split(sums_of(xp.sqrt(squared)).T, sets)
    return [
        _spread(xp, centroids[i], squared[i, :], distance_sums[i][:, i], one)
        for i, one in enumerate(sets)
    ]


def _spread(xp: Any, centroids: Any, squared: Any, distance_sums: Any, one: LabelSet) -> _Spread:
    norms = xp.sqrt(xp.sum(centroids * centroids, axis=1))
    return _Spread(
        centroids=centroids,
        counts=one.counts,
        rounding=_EPS * one.counts * norms,
        within=xp.sum(xp.where(one.labels >= 0, squared, xp.zeros_like(squared))),
        mean_distance=distance_sums / one.counts,
        n=one.kept,
    )


def _sums(xp: Any, X: Any, sums_of: Callable[[Any], Any]) -> Any:
    """Return the sums of the samples of each cluster, float64 (clusters of all sets, d)."""
    if array_api_compat.is_numpy_namespace(xp):  # sums in float64 anyway
        return sums_of(X.T).T
    blocks = _slices(xp, X.shape[1], bytes_each=8 * X.shape[0])
    return xp.concat([sums_of(xp.astype(X[:, block], xp.float64).T) for block in blocks]).T


def _centroids(xp: Any, sums: Any, sets: list[LabelSet]) -> list[Any]:
    centroids = []
    for own, one in zip(_split(sums, sets), sets, strict=True):
        # Copied to a new array, because the sums are transposed and contiguous rows are faster.
        means = xp.empty(own.shape, dtype=xp.float64, device=array_api_compat.device(own))
        means[:, :] = own / one.counts[:, None]
        centroids.append(means)
    return centroids


def _split(values: Any, sets: list[LabelSet]) -> list[Any]:
    """Split rows for the clusters of all label sets into one array per label set."""
    ends = itertools.accumulate(one.k for one in sets)
    return [values[end - one.k : end, :] for end, one in zip(ends, sets, strict=True)]


def _squared_distances(xp: Any, X: Any, centroids: list[Any], sets: list[LabelSet]) -> Any:
    """Return the squared distance of each sample to its centroid (label sets, n).

    Computed from differences, because a matrix product loses digits in tight clusters.  Entries of
    dropped samples have no meaning.
    """
    own = [xp.clip(one.labels, 0, None) for one in sets]
    parts = []
    for rows in _slices(xp, X.shape[0], bytes_each=8 * X.shape[1]):
        squared = []
        for means, labels in zip(centroids, own, strict=True):
            difference = xp.take(means, labels[rows], axis=0)
            difference -= X[rows, :]
            squared.append(_squared_norms(xp, difference))
        parts.append(xp.stack(squared))
    return xp.concat(parts, axis=1)


def _squared_norms(xp: Any, rows: Any) -> Any:
    """Return the squared norms of the rows, in place: the rows may be overwritten."""
    if array_api_compat.is_numpy_namespace(xp):
        return np.vecdot(rows, rows)
    # Other namespaces implement `vecdot` as one matrix product per row.
    rows *= rows
    return xp.sum(rows, axis=1)


def _slices(xp: Any, length: int, *, bytes_each: int) -> Iterator[slice]:
    step = max(block_size.block_rows(xp, bytes_each, cached=_CACHE_BYTES), 16)
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


# ---- scores -------------------------------------------------------------------------------------


def _calinski_harabasz(xp: Any, spread: _Spread) -> Any:
    counts, k = spread.counts[:, None], spread.counts.shape[0]
    mean = xp.sum(spread.centroids * counts, axis=0)[None, :] / spread.n
    differences = spread.centroids - mean
    between = xp.sum(differences * differences * counts)
    tight, ones = _is_tight(xp, spread), xp.ones_like(between)
    ratio = between * (spread.n - k) / (xp.where(tight, ones, spread.within) * (k - 1))
    return xp.where(tight, ones, ratio)


def _davies_bouldin(xp: Any, spread: _Spread) -> Any:
    spreads, worst = spread.mean_distance, []
    for start, stop, D in distances.distance_blocks(spread.centroids):
        rows = slice(start, stop)
        coincide = spread.rounding[rows][:, None] + spread.rounding[None, :] >= D
        ratios = (spreads[rows][:, None] + spreads[None, :]) / xp.where(coincide, math.inf, D)
        worst.append(xp.max(ratios, axis=1))
    score = xp.mean(xp.concat(worst))
    return xp.where(_is_tight(xp, spread), xp.zeros_like(score), score)


def _is_tight(xp: Any, spread: _Spread) -> Any:
    """Return whether the scatter within clusters is at most the rounding of the centroids."""
    return spread.within <= xp.sum(spread.counts * spread.rounding**2)
