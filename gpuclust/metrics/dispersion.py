"""Scores from the centroids of clusters: Calinski-Harabasz and Davies-Bouldin.

Both come from the same two passes over the samples, one for the centroids of all label sets and one
for the distances to them.  Everything is summed in float64 and from differences, in blocks: float32
samples far from the origin keep their digits, and no float64 copy of the space is made.

A score that does not exist (fewer than two clusters, or as many as samples) is NaN, where
scikit-learn raises.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ..arrays import distances, segments, transfer
from ..device import block_size
from ..errors import unknown
from .labelset import LabelSet, coded, without_dropped

SCORES = ("calinski_harabasz", "davies_bouldin")
# A float64 block and its temporaries stay in the cache of a CPU.
_CACHE_BYTES = 1 << 20
# As scikit-learn, which takes spreads and distances up to this for zero.
_ATOL = 1e-8
_EPS = float(np.finfo(np.float64).eps)


def calinski_harabasz_score(X, labels, *, mask=None) -> float:
    """Return scikit-learn's Calinski-Harabasz score, or NaN without 2 <= clusters <= n - 1.

    The ratio of the scatter of the centroids to the scatter about them; 1.0 where the latter is
    zero.  See `dispersion_scores` for the arguments, errors, precision and cost.

    References
    ----------
    Calinski, Harabasz: A dendrite method for cluster analysis, Comm. in Statistics 3, 1974.
    """
    return _single("calinski_harabasz", X, labels, mask)


def davies_bouldin_score(X, labels, *, mask=None) -> float:
    """Return scikit-learn's Davies-Bouldin score, or NaN without 2 <= clusters <= n - 1.

    The mean over clusters of the worst ratio of two spreads to the distance of their centroids;
    pairs of coincident centroids are left out.  0.0 where all spreads, or all distances of
    centroids, are at most 1e-8, whatever the unit of X.  See `dispersion_scores` for the arguments,
    errors, precision and cost.

    References
    ----------
    Davies, Bouldin: A cluster separation measure, IEEE PAMI 1, 1979.
    """
    return _single("davies_bouldin", X, labels, mask)


def dispersion_scores(
    X,
    labels_list: Sequence[Any],
    *,
    masks: Sequence[Any] | None = None,
    scores: Sequence[str] = SCORES,
) -> dict[str, list[float]]:
    """Return the scores of `SCORES` for many label sets from two passes over the samples.

    O(n d) time per label set, and O(k^2 d) for Davies-Bouldin; elsewhere than on NumPy centroids
    are matrix products, O(n d k).  Memory: 16 k d bytes and 16 n per label set, a few blocks (1 MiB
    on NumPy, 256 MiB elsewhere), and those of `ops.segment_summer` (elsewhere a one-hot of 4096 x
    all k) and `ops.distance_blocks`; never (n, k) or (k, k, d).

    Precision: that of float64, whatever the dtype of X.  What is below the rounding of a centroid,
    eps times its norm and samples, is zero: a scatter within clusters, and the distance of two
    centroids, which then coincide.

    Parameters
    ----------
    X : array of shape (n, d)
        The space, on any array namespace.
    labels_list : sequence of (array of int, shape (n,), or LabelSet)
        Label sets; every value is a label, -1 too.
    masks : sequence of (array of bool, shape (n,), or None), optional
        For each label set the samples to keep.
    scores : sequence of str
        Which scores.

    Returns
    -------
    dict of str to list of float
        For each score the values of the label sets.

    Raises
    ------
    InputError
        When X is not 2-D, a row that some label set keeps is not finite, or labels or masks do not
        fit X.
    UnknownNameError
        For another score.
    """
    for score in scores:
        if score not in SCORES:
            raise unknown("score", score, SCORES)
    xp = array_api_compat.array_namespace(X)
    sets = coded(X, labels_list, masks)
    X, live = without_dropped(X, [one for one in sets if one.defined])
    X = distances.check_array(xp, X)
    found = _measured(xp, X, live, scores) if live else {score: [] for score in scores}
    return {score: _in_place(sets, found[score]) for score in scores}


def _single(score: str, X, labels, mask) -> float:
    return dispersion_scores(X, [labels], masks=[mask], scores=[score])[score][0]


def _in_place(sets: list[LabelSet], values: Sequence[float]) -> list[float]:
    """Put NaN for the label sets that have no score between the values of those that have."""
    left = iter(values)
    return [next(left) if one.defined else math.nan for one in sets]


# ---- what both scores are made of ---------------------------------------------------------------


class _Spread(NamedTuple):
    """What is left of the samples of one label set, float64."""

    centroids: Any  # (k, d)
    counts: Any  # (k,)
    rounding: Any  # (k,) how far a centroid may be from where it should be
    within: Any  # () sum of squared distances to the own centroid
    mean_distance: Any  # (k,) mean distance to the own centroid
    n: int


def _measured(xp, X, sets: list[LabelSet], scores: Sequence[str]) -> dict[str, list[float]]:
    functions = {"calinski_harabasz": _calinski_harabasz, "davies_bouldin": _davies_bouldin}
    spreads = _spreads(xp, X, sets)
    values = [functions[score](xp, spread) for score in scores for spread in spreads]
    # Stacked, the values of all label sets cross to the host at once.
    rows = transfer.to_host(xp.reshape(xp.stack(values), (len(scores), len(sets)))).tolist()
    return dict(zip(scores, rows, strict=True))


def _spreads(xp, X, sets: list[LabelSet]) -> list[_Spread]:
    sums_of = segments.segment_summer(
        [one.codes for one in sets], n_segments=[one.k for one in sets]
    )
    centroids = _centroids(xp, _sums(xp, X, sums_of), sets)
    squared = _squared_distances(xp, X, centroids, sets)  # (label sets, n)
    # Each row belongs to one label set; what it sums to over the segments of the others is thrown
    # away, which is cheaper than a product per label set.
    of_distances = _split(sums_of(xp.sqrt(squared)).T, sets)
    return [
        _spread(xp, centroids[i], squared[i, :], of_distances[i][:, i], one)
        for i, one in enumerate(sets)
    ]


def _spread(xp, centroids, squared, of_distances, one: LabelSet) -> _Spread:
    norms = xp.sqrt(xp.sum(centroids * centroids, axis=1))
    return _Spread(
        centroids=centroids,
        counts=one.counts,
        rounding=_EPS * one.counts * norms,
        within=xp.sum(xp.where(one.codes >= 0, squared, xp.zeros_like(squared))),
        mean_distance=of_distances / one.counts,
        n=one.kept,
    )


def _sums(xp, X, sums_of):
    """Return the sums of the samples of each cluster, float64 (all k, d)."""
    if array_api_compat.is_numpy_namespace(xp):
        # There they are float64 in any case, block by block.
        return sums_of(X.T).T
    blocks = _slices(xp, X.shape[1], bytes_each=8 * X.shape[0])
    return xp.concat([sums_of(xp.astype(X[:, block], xp.float64).T) for block in blocks]).T


def _centroids(xp, sums, sets: list[LabelSet]) -> list:
    centroids = []
    for own, one in zip(_split(sums, sets), sets, strict=True):
        # Into a new array: the sums are transposed, and rows are taken faster where contiguous.
        centres = xp.empty(own.shape, dtype=xp.float64, device=array_api_compat.device(own))
        centres[:, :] = own / one.counts[:, None]
        centroids.append(centres)
    return centroids


def _split(values, sets: list[LabelSet]) -> list:
    """Cut rows that lie side by side for all label sets into those of each."""
    ends = itertools.accumulate(one.k for one in sets)
    return [values[end - one.k : end, :] for end, one in zip(ends, sets, strict=True)]


def _squared_distances(xp, X, centroids: list, sets: list[LabelSet]):
    """Return the squared distance of each sample to its centroid (label sets, n).

    From the differences: the product form cancels where clusters are tight.  Meaningless where the
    code is -1.
    """
    own = [xp.clip(one.codes, 0, None) for one in sets]
    parts = []
    for rows in _slices(xp, X.shape[0], bytes_each=8 * X.shape[1]):
        squared = []
        for centres, codes in zip(centroids, own, strict=True):
            difference = xp.take(centres, codes[rows], axis=0)
            difference -= X[rows, :]
            squared.append(_squared_norms(xp, difference))
        parts.append(xp.stack(squared))
    return xp.concat(parts, axis=1)


def _squared_norms(xp, rows):
    if array_api_compat.is_numpy_namespace(xp):
        return np.vecdot(rows, rows)
    # There `vecdot` is a product of matrices for each row.
    rows *= rows
    return xp.sum(rows, axis=1)


def _slices(xp, length: int, *, bytes_each: int) -> Iterator[slice]:
    step = max(block_size.block_rows(xp, bytes_each, cached=_CACHE_BYTES), 16)
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


# ---- scores -------------------------------------------------------------------------------------


def _calinski_harabasz(xp, spread: _Spread):
    counts, k = spread.counts[:, None], spread.counts.shape[0]
    gaps = spread.centroids - xp.sum(spread.centroids * counts, axis=0)[None, :] / spread.n
    between = xp.sum(gaps * gaps * counts)
    tight, ones = _is_tight(xp, spread), xp.ones_like(between)
    ratio = between * (spread.n - k) / (xp.where(tight, ones, spread.within) * (k - 1))
    return xp.where(tight, ones, ratio)


def _davies_bouldin(xp, spread: _Spread):
    spreads, worst, farthest = spread.mean_distance, [], []
    for start, stop, D in distances.distance_blocks(spread.centroids):
        rows = slice(start, stop)
        farthest.append(xp.max(D))
        coincide = spread.rounding[rows][:, None] + spread.rounding[None, :] >= D
        ratios = (spreads[rows][:, None] + spreads[None, :]) / xp.where(coincide, math.inf, D)
        worst.append(xp.max(ratios, axis=1))
    # scikit-learn's `isclose` to zero.
    trivial = xp.all(spreads <= _ATOL) | (xp.max(xp.stack(farthest)) <= _ATOL)
    score = xp.mean(xp.concat(worst))
    return xp.where(trivial | _is_tight(xp, spread), xp.zeros_like(score), score)


def _is_tight(xp, spread: _Spread):
    """Tell whether the scatter within clusters is no more than the rounding of the centroids."""
    return spread.within <= xp.sum(spread.counts * spread.rounding**2)
