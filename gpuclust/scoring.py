"""Which scores a cell gets, in which space, each computed once.

A unit's label sets are scored together: one contingency per set, one distance pass per space and
metric for all sets.  The `..._clustered` twin of a score looks only at the samples whose label is
not -1; where nothing is unclustered it is the same number and is not computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .errors import unknown

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
INTERNAL = (
    "calinski_harabasz",
    "davies_bouldin",
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
    label_sets: Sequence[np.ndarray], *, X: Any, Z: Any, y: Any | None, names: Sequence[str]
) -> list[Scored]:
    """Score several clusterings of the same samples.

    Parameters
    ----------
    label_sets : sequence of (n,) integer arrays
        -1 means unclustered: one ordinary cluster, except in the ``_clustered`` scores.
    X, Z : (n, d), (n, m)
        The original and the reduced space; the very same array when nothing was reduced.
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
    results = [Scored(_counts(labels), {}) for labels in label_sets]
    if y is not None and any(name in EXTERNAL for name in names):
        for result, labels in zip(results, label_sets, strict=True):
            _add_external(result, y, labels, [name for name in names if name in EXTERNAL])
    done: dict[tuple[str, int], list[tuple[float | None, float | None]]] = {}
    for name in names:
        if name in EXTERNAL:
            continue
        score, _, space = name.rpartition("_")
        # The space a clusterer was given is the reduced one up to one factor, and every internal
        # score is the same under it.
        array = X if space == "original" else Z
        if (score, id(array)) not in done:
            done[score, id(array)] = _internal(score, array, label_sets)
        for result, (plain, clustered) in zip(results, done[score, id(array)], strict=True):
            _put(result, name, plain, clustered)
    return results


def _counts(labels: np.ndarray) -> dict[str, float | int | None]:
    kept = labels[labels != -1]
    share = len(kept) / len(labels) if len(labels) else 0.0
    return {"n_clusters": len(np.unique(kept)), "share_clustered": share}


def _add_external(result: Scored, y: Any, labels: np.ndarray, names: Sequence[str]) -> None:
    from .metrics import external_scores

    plain = external_scores(y, labels)
    clustered: dict[str, float] = plain
    keep = labels != -1
    if not keep.all():
        # scikit-learn calls two empty labellings equal (1.0); nothing clustered is no success.
        clustered = external_scores(y, labels, mask=keep) if keep.any() else {}
    for name in names:
        _put(result, name, plain[name], clustered.get(name))


def _put(result: Scored, name: str, plain: float | None, clustered: float | None) -> None:
    for key, value in ((name, plain), (f"{name}_clustered", clustered)):
        defined = value is not None and np.isfinite(value)
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
    score: str, array: Any, label_sets: Sequence[np.ndarray]
) -> list[tuple[float | None, float | None]]:
    """Compute one internal score in one space: (all samples, clustered samples) per label set."""
    masked = [labels for labels in label_sets if (labels == -1).any() and (labels != -1).any()]
    sets = [*label_sets, *masked]
    masks: list[np.ndarray | None] = [None] * len(label_sets)
    masks += [labels != -1 for labels in masked]
    values = _one_pass(score, array, sets, masks)
    extra = iter(values[len(label_sets) :])
    pairs = []
    for labels, plain in zip(label_sets, values, strict=False):
        if not (labels == -1).any():
            pairs.append((plain, plain))
        else:
            pairs.append((plain, next(extra) if (labels != -1).any() else None))
    return pairs


def _one_pass(
    score: str, array: Any, sets: Sequence[np.ndarray], masks: Sequence[np.ndarray | None]
) -> list[float]:
    from . import metrics

    if score.startswith("silhouette_"):
        metric = score.removeprefix("silhouette_")
        return list(metrics.silhouette_scores(array, sets, metric=metric, masks=masks))
    function = getattr(metrics, f"{score}_score")
    return [function(array, labels, mask=mask) for labels, mask in zip(sets, masks, strict=True)]
