"""All clusterings of one embedding scored together; the names are in `gpuclust.metrics.names`.

A unit needs one contingency table per clustering, and one pass over the distances per
representation and metric for all clusterings.  The ``_clustered`` variant of a score uses only
samples whose label is not -1; without unclustered samples it equals the plain score and is not
computed again.

Representations, labels and classes stay on their device.  Copied to the host are scores, cluster
sizes, and the parts of each contingency table listed in `gpuclust.metrics.external`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from array_api_compat import array_namespace

from ..arrays.distances import PAIR
from .dispersion import dispersion_scores
from .external import external_scores
from .internal import silhouette_scores
from .labelset import LabelSet, label_set
from .names import (
    ALL,
    DEFAULT,
    DISPERSIONS,
    EXTERNAL,
    GROUPS,
    INTERNAL,
    MEASURES,
    REPRESENTATIONS,
    SCORES,
    SILHOUETTES,
    Score,
    resolve,
    score_of,
)

__all__ = [
    "ALL",
    "DEFAULT",
    "DISPERSIONS",
    "EXTERNAL",
    "GROUPS",
    "INTERNAL",
    "MEASURES",
    "REPRESENTATIONS",
    "SCORES",
    "SILHOUETTES",
    "Score",
    "Scored",
    "resolve",
    "score_all",
    "score_of",
]


class Scored(NamedTuple):
    """Scores of one clustering; `undefined` gives the reason for each missing score."""

    scores: dict[str, float | int | None]
    undefined: dict[str, str]


def score_all(
    label_sets: Sequence[Any],
    *,
    X: Any,
    Z: Any,
    y: Any | None,
    names: Sequence[str],
    labelled: Any | None = None,
) -> list[Scored]:
    """Score several clusterings of the same samples; for the cost see the single scores.

    Parameters
    ----------
    label_sets : sequence of arrays of int, shape (n,)
        -1 means unclustered: one ordinary cluster, except in the ``_clustered`` scores.
    X, Z : arrays of shape (n, d), (n, m)
        The embedding before and after reduction, on any array namespace; the same array object
        when nothing was reduced.
    y : array of shape (n,), or None
        True classes; without them external scores are absent.
    names : sequence of str
        From `resolve`.
    labelled : array of bool, shape (n,), optional
        Samples with a true class; external scores use only these.  All, by default.

    Returns
    -------
    list of Scored
        Scores by name, each with its ``_clustered`` variant, plus ``n_clusters`` and
        ``share_clustered``.  Scores undefined for a clustering are None, with the reason.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.array([[0.0], [1.0], [5.0], [6.0]]), np.array([0, 0, 1, 1])
    >>> score_all([y], X=X, Z=X, y=y, names=["ari"])[0].scores["ari"]
    1.0
    """
    clusterings = [_clustering(X, labels) for labels in label_sets]
    results = [Scored(_counts(one), {}) for one in clusterings]
    scores = {name: SCORES[name] for name in names}
    external = [name for name, score in scores.items() if score.kind == "external"]
    if y is not None and external:
        for result, one in zip(results, clusterings, strict=True):
            _add_external(result, y, one, external, labelled)
    internal = {name: score for name, score in scores.items() if score.kind != "external"}
    # "fitted" equals "reduced" up to a scale factor, to which all internal scores are invariant.
    arrays: dict[str | None, Any] = {"original": X, "reduced": Z, "fitted": Z}
    for name, values in _internal(internal, arrays, clusterings).items():
        for result, pair, one in zip(results, values, clusterings, strict=True):
            _put(result, name, pair, one)
    return results


class _Clustering(NamedTuple):
    """Labels of one clustering, encoded once for all its internal scores."""

    labels: Any  # (n,)
    keep: Any  # (n,) bool, not -1
    plain: LabelSet
    clustered: LabelSet  # the samples to keep; `plain` itself if all are kept

    @property
    def has_noise(self) -> bool:
        return self.clustered is not self.plain


def _clustering(X: Any, labels: Any) -> _Clustering:
    keep = labels != -1
    plain, clustered = label_set(X, labels), label_set(X, labels, mask=keep)
    return _Clustering(labels, keep, plain, plain if clustered.kept == plain.kept else clustered)


def _counts(one: _Clustering) -> dict[str, float | int | None]:
    share = one.clustered.kept / one.plain.kept if one.plain.kept else 0.0
    return {"n_clusters": one.clustered.k, "share_clustered": share}


def _add_external(
    result: Scored, y: Any, one: _Clustering, names: Sequence[str], labelled: Any | None
) -> None:
    plain = external_scores(y, one.labels, mask=labelled)
    clustered: dict[str, float] = plain
    if one.has_noise:
        # scikit-learn scores two empty labelings 1.0, but clustering no sample is no success.
        keep, some = one.keep, one.clustered.kept > 0
        if labelled is not None:
            keep = keep & labelled
            some = bool(array_namespace(keep).any(keep))
        clustered = external_scores(y, one.labels, mask=keep) if some else {}
    for name in names:
        _put(result, name, (plain[name], clustered.get(name)), one)


def _put(
    result: Scored, name: str, values: tuple[float | None, float | None], one: _Clustering
) -> None:
    """Add the scores of all samples and of the clustered samples, or the reasons."""
    for key, value in zip((name, f"{name}_clustered"), values, strict=True):
        if value is not None and math.isfinite(value):
            result.scores[key] = float(value)
        else:
            result.scores[key] = None
            result.undefined[key] = _reason(key, value, one)


def _reason(name: str, value: float | None, one: _Clustering) -> str:
    """Explain why a score of a clustering is missing."""
    scored = one.clustered if name.endswith("_clustered") else one.plain
    if scored is one.clustered and scored.kept == 0:
        return "no sample is clustered"
    if value is None:
        return "no clustered sample has a label"
    score = score_of(name)
    if score and score.measure == "accuracy":
        return f"matching {scored.k} clusters with the classes would take too much memory"
    if scored.defined:
        return "the value is not a finite number: it exceeds the range of float64"
    if scored.k >= 2:
        return (
            f"needs fewer different labels than samples; got {scored.k} labels of {scored.kept} "
            "samples"
        )
    samples = "samples" if scored is one.plain else "clustered samples"
    kind = "are unclustered" if one.clustered.kept == 0 else "are in one cluster"
    return f"needs 2 different labels or more; all {scored.kept} {samples} {kind}"


# The score of all samples, and that of the clustered samples.
_Pair = tuple[float, float]


def _internal(
    scores: Mapping[str, Score],
    arrays: Mapping[str | None, Any],
    clusterings: Sequence[_Clustering],
) -> dict[str, list[_Pair]]:
    """Compute internal scores; return one pair per clustering, by name."""
    found: dict[str, list[_Pair]] = {}
    # Without a reducer all representations are one array, and it is scored once.
    for array in {id(array): array for array in arrays.values()}.values():
        here = {n: s for n, s in scores.items() if arrays[s.representation] is array}
        measures = dict.fromkeys(score.measure for score in here.values())
        pairs = _pairs([MEASURES[name] for name in measures], array, clusterings)
        found |= {name: pairs[score.measure] for name, score in here.items()}
    return {name: found[name] for name in scores}  # rows keep the order of the names


def _pairs(
    measures: Sequence[Score], array: Any, clusterings: Sequence[_Clustering]
) -> dict[str, list[_Pair]]:
    """Compute measures on one array, for all samples and the clustered ones in one pass."""
    noisy = [one for one in clusterings if one.has_noise]
    sets = [*(one.plain for one in clusterings), *(one.clustered for one in noisy)]
    pairs = {}
    for name, values in _one_pass(measures, array, sets).items():
        extra = iter(values[len(clusterings) :])
        pairs[name] = [
            (plain, next(extra) if one.has_noise else plain)
            for one, plain in zip(clusterings, values, strict=False)
        ]
    return pairs


def _one_pass(
    measures: Sequence[Score], array: Any, sets: Sequence[LabelSet]
) -> dict[str, list[float]]:
    dispersions = [one.measure for one in measures if one.kind == "dispersion"]
    values = dispersion_scores(array, sets, scores=dispersions) if dispersions else {}
    metrics = [one.metric for one in measures if one.metric is not None]
    # Both of these come from one matrix product.
    if all(metric in metrics for metric in PAIR):
        both = silhouette_scores(array, sets, metric=PAIR)
        values |= {f"silhouette_{metric}": one for metric, one in zip(PAIR, both, strict=True)}
        metrics = [metric for metric in metrics if metric not in PAIR]
    for metric in metrics:
        values[f"silhouette_{metric}"] = silhouette_scores(array, sets, metric=metric)
    return values
