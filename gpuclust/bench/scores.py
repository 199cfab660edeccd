"""Scores as work: one score of several label sets, by gpuclust or by a baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..metrics.suite import DEFAULT, DISPERSIONS, EXTERNAL, INTERNAL, MEASURES, score_all

# All default scores of every label set, in the original embedding and in 50 dimensions of it.
DEFAULTS = "default_scores"
NAMES = (*EXTERNAL, *INTERNAL, DEFAULTS)
# Scores without a counterpart in other libraries.
_OWN = ("ami_true", "purity", "accuracy")
# Two representations and the score of each, as the names of `DEFAULT` have them.
_SHARED = [name for name in EXTERNAL if name not in _OWN]
_INTERNAL = [
    (score, of)
    for score in INTERNAL
    for of in ("original", "reduced")
    if f"{score}_{of}" in DEFAULT
]
# A baseline that has all of these can do `DEFAULTS`.
NEEDED = {*_SHARED, *(score for score, _ in _INTERNAL)}

Score = Callable[[Any, Any, Sequence[Any]], list[float]]
Single = Callable[[Any, Any, Any], float]


def ours(name: str) -> Score:
    """Return the function ``(X, y, sets) -> scores`` of gpuclust for a score of `NAMES`.

    Called as a grid does: internal scores pass over the samples or their distances once for all
    label sets.
    """
    from .. import metrics

    if name == DEFAULTS:
        return _defaults
    if name in DISPERSIONS:
        return lambda X, y, sets: metrics.dispersion_scores(X, sets, scores=[name])[name]
    if metric := MEASURES[name].metric:
        return lambda X, y, sets: metrics.silhouette_scores(X, sets, metric=metric)
    score = _external(name)
    return lambda X, y, sets: [score(y, labels) for labels in sets]


def theirs(name: str, table: Mapping[str, Single]) -> Score:
    """Return the same function made of the scores of a baseline, one call per label set."""
    if name != DEFAULTS:
        return lambda X, y, sets: [table[name](X, y, labels) for labels in sets]

    def defaults(X: Any, y: Any, sets: Sequence[Any]) -> list[float]:
        of = {"original": X, "reduced": _reduced(X)}
        found = [table[score](X, y, labels) for labels in sets for score in _SHARED]
        return found + [table[score](of[at], y, s) for s in sets for score, at in _INTERNAL]

    return defaults


def _reduced(X: Any) -> Any:
    """Copy the first 50 dimensions of `X` to a contiguous array of its library."""
    return X[:, :50] + 0


def _defaults(X: Any, y: Any, sets: Sequence[Any]) -> list[float]:
    scored = score_all(list(sets), X=X, Z=_reduced(X), y=y, names=DEFAULT)
    found = [one.scores[name] for one in scored for name in _SHARED]
    found += [one.scores[f"{score}_{of}"] for one in scored for score, of in _INTERNAL]
    return [float(value) if value is not None else float("nan") for value in found]


def _external(name: str) -> Callable[[Any, Any], float]:
    from .. import metrics

    parts = ("homogeneity", "completeness", "v_measure")
    if name in parts:
        i = parts.index(name)
        return lambda y, labels: metrics.homogeneity_completeness_v_measure(y, labels)[i]
    if name == "ami_true":
        return lambda y, labels: metrics.adjusted_mutual_info_score(y, labels, normalizer="true")
    return {
        "ami": metrics.adjusted_mutual_info_score,
        "nmi": metrics.normalized_mutual_info_score,
        "ari": metrics.adjusted_rand_score,
        "fmi": metrics.fowlkes_mallows_score,
        "purity": metrics.purity_score,
        "accuracy": metrics.cluster_accuracy,
    }[name]
