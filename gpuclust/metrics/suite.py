"""Which scores a cell gets, in which space, each computed once.

A unit's label sets are scored together: one contingency per set, one distance pass per space and
metric for all sets.  The `..._clustered` twin of a score looks only at the samples whose label is
not -1; where nothing is unclustered it is the same number and is not computed again.

Spaces, labels and classes stay where they are.  What crosses to the host is scores, sizes, and of
each contingency what `gpuclust.metrics.external` says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import unknown

if TYPE_CHECKING:
    from . import LabelSet

EXTERNAL = (
    "ami",
    "ami_true",
    "nmi",
    "ari",
    "fmi",
    "homogeneity",
    "completeness",
    "v_measure",
    "purity",
    "accuracy",
)
SPACES = ("original", "reduced", "fitted")
SILHOUETTES = ("euclidean", "cosine", "l1", "chebyshev")
DISPERSIONS = ("calinski_harabasz", "davies_bouldin")
INTERNAL = (
    *DISPERSIONS,
    *(f"silhouette_{metric}" for metric in SILHOUETTES),
)
DEFAULT = (
    *EXTERNAL,
    *(
        f"{score}_{space}"
        for score in INTERNAL
        if score not in ("silhouette_l1", "silhouette_chebyshev")
        for space in ("original", "reduced")
    ),
)
ALL = (*EXTERNAL, *(f"{score}_{space}" for score in INTERNAL for space in SPACES))
GROUPS = {
    "default": DEFAULT,
    "external": EXTERNAL,
    "all": ALL,
    # Without a space: where the embedding was born and where it was clustered.
    **{score: (f"{score}_original", f"{score}_reduced") for score in INTERNAL},
}


class Scored(NamedTuple):
    """The scores of one label set; `undefined` says why a score is None."""

    scores: dict[str, float | int | None]
    undefined: dict[str, str]


def resolve(names: Iterable[str]) -> tuple[str, ...]:
    """Expand groups into score names, in the order of `ALL`; raise `UnknownNameError`."""
    wanted: set[str] = set()
    for name in names:
        if name not in GROUPS and name not in ALL:
            raise unknown(
                "metric", name, [*GROUPS, *ALL], hint="`gpuclust list metrics` shows them all."
            )
        wanted.update(GROUPS.get(name, (name,)))
    return tuple(name for name in ALL if name in wanted)


def score_all(
    label_sets: Sequence[Any], *, X: Any, Z: Any, y: Any | None, names: Sequence[str]
) -> list[Scored]:
    """Score several clusterings of the same samples.

    Parameters
    ----------
    label_sets : sequence of (n,) integer arrays
        -1 means unclustered: one ordinary cluster, except in the ``_clustered`` scores.
    X, Z : (n, d), (n, m)
        The original and the reduced space, on any array namespace; the very same array when nothing
        was reduced.
    y : (n,) or None
        True classes; without them the external scores are absent.
    names : sequence of str
        From `resolve`.

    Returns
    -------
    list of Scored
        Scores by name, each with its ``_clustered`` twin, plus ``n_clusters`` and
        ``share_clustered``.  Scores that are undefined for a clustering are None, with the reason.
    """
    clusterings = [_clustering(X, labels) for labels in label_sets]
    results = [Scored(_counts(one), {}) for one in clusterings]
    external = [name for name in names if name in EXTERNAL]
    if y is not None and external:
        for result, one in zip(results, clusterings, strict=True):
            _add_external(result, y, one, external)
    internal = [name for name in names if name not in EXTERNAL]
    # The space a clusterer was given is the reduced one up to one factor, and every internal score
    # is the same under it.
    spaces = {"original": X, "reduced": Z, "fitted": Z}
    for name, values in _internal(internal, spaces, clusterings).items():
        for result, (plain, clustered) in zip(results, values, strict=True):
            _put(result, name, plain, clustered)
    return results


class _Clustering(NamedTuple):
    """The labels of one clustering, coded once for all its internal scores."""

    labels: Any  # (n,)
    keep: Any  # (n,) bool, not -1
    plain: LabelSet
    clustered: LabelSet  # only the samples to keep; `plain` itself where that is all of them

    @property
    def has_noise(self) -> bool:
        return self.clustered is not self.plain


def _clustering(X: Any, labels: Any) -> _Clustering:
    from . import label_set

    keep = labels != -1
    plain, clustered = label_set(X, labels), label_set(X, labels, mask=keep)
    return _Clustering(labels, keep, plain, plain if clustered.kept == plain.kept else clustered)


def _counts(one: _Clustering) -> dict[str, float | int | None]:
    share = one.clustered.kept / one.plain.kept if one.plain.kept else 0.0
    return {"n_clusters": one.clustered.k, "share_clustered": share}


def _add_external(result: Scored, y: Any, one: _Clustering, names: Sequence[str]) -> None:
    from . import external_scores

    plain = external_scores(y, one.labels)
    clustered: dict[str, float] = plain
    if one.has_noise:
        # scikit-learn calls two empty labellings equal (1.0); nothing clustered is no success.
        some = one.clustered.kept > 0
        clustered = external_scores(y, one.labels, mask=one.keep) if some else {}
    for name in names:
        _put(result, name, plain[name], clustered.get(name))


def _put(result: Scored, name: str, plain: float | None, clustered: float | None) -> None:
    for key, value in ((name, plain), (f"{name}_clustered", clustered)):
        defined = value is not None and math.isfinite(value)
        result.scores[key] = float(value) if defined else None
        if not defined:
            result.undefined[key] = _reason(key, result.scores)


def _reason(name: str, scores: dict[str, float | int | None]) -> str:
    n_clusters, share = scores["n_clusters"], scores["share_clustered"]
    if name.endswith("_clustered") and share == 0:
        return "no sample is clustered"
    if name.startswith("accuracy"):
        return f"matching {n_clusters} clusters with the classes would take too much memory"
    return f"needs from 2 to n - 1 different labels; got {n_clusters} clusters"


def _internal(
    names: Sequence[str], spaces: dict[str, Any], clusterings: Sequence[_Clustering]
) -> dict[str, list[tuple[float, float]]]:
    """Compute internal scores: by name, (all samples, clustered samples) per clustering."""
    wanted: dict[int, list[str]] = {}
    for name in names:
        score, _, space = name.rpartition("_")
        scores = wanted.setdefault(id(spaces[space]), [])
        if score not in scores:
            scores.append(score)
    arrays = {id(array): array for array in spaces.values()}
    done = {place: _pairs(scores, arrays[place], clusterings) for place, scores in wanted.items()}
    found = {}
    for name in names:
        score, _, space = name.rpartition("_")
        found[name] = done[id(spaces[space])][score]
    return found


def _pairs(
    scores: Sequence[str], array: Any, clusterings: Sequence[_Clustering]
) -> dict[str, list[tuple[float, float]]]:
    """Compute scores in one space: those of all samples and of the clustered ones in one pass."""
    noisy = [one for one in clusterings if one.has_noise]
    sets = [*(one.plain for one in clusterings), *(one.clustered for one in noisy)]
    pairs = {}
    for score, values in _one_pass(scores, array, sets).items():
        extra = iter(values[len(clusterings) :])
        pairs[score] = [
            (plain, next(extra) if one.has_noise else plain)
            for one, plain in zip(clusterings, values, strict=False)
        ]
    return pairs


def _one_pass(
    scores: Sequence[str], array: Any, sets: Sequence[LabelSet]
) -> dict[str, list[float]]:
    from .. import metrics
    from ..arrays.distances import PAIR

    dispersions = [score for score in scores if score in DISPERSIONS]
    values = metrics.dispersion_scores(array, sets, scores=dispersions) if dispersions else {}
    kinds = [score.removeprefix("silhouette_") for score in scores if score not in DISPERSIONS]
    # Both of these come from one matrix product.
    if all(metric in kinds for metric in PAIR):
        both = metrics.silhouette_scores(array, sets, metric=PAIR)
        values |= {f"silhouette_{metric}": one for metric, one in zip(PAIR, both, strict=True)}
        kinds = [metric for metric in kinds if metric not in PAIR]
    for metric in kinds:
        values[f"silhouette_{metric}"] = metrics.silhouette_scores(array, sets, metric=metric)
    return values
