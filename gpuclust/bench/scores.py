"""Scores as work: one score of two labellings of the data, by our functions or by a peer's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..metrics.suite import DISPERSIONS, EXTERNAL, INTERNAL

# The names of `gpuclust.metrics.suite`; there is one space, so none is named after it.
NAMES = (*EXTERNAL, *INTERNAL)
# Few clusters, as a study has classes, and many, as a density clusterer finds.
CLUSTERS = (10, 100)

Score = Callable[[Any, Any, Sequence[Any]], list[float]]


def label_sets(X: np.ndarray, k: int | None = None) -> list[np.ndarray]:
    """Make the labellings to be scored: K-Means with `k` clusters, or with each of `CLUSTERS`.

    Every side makes its own, so they must not depend on the side: one thread, one seed, on the
    host.  Work is in proportion to n d k.

    Returns
    -------
    list of (n,) int64 arrays
        At most n / 2 clusters each.
    """
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    most = max(len(X) // 2, 1)
    with threadpool_limits(1):
        return [
            MiniBatchKMeans(min(one, most), n_init=1, random_state=0)
            .fit_predict(X)
            .astype(np.int64)
            for one in ([k] if k else CLUSTERS)
        ]


def ours(name: str) -> Score:
    """Return our function ``(X, y, sets) -> scores`` of a score in `NAMES`.

    As a grid calls it: internal scores see the samples or their distances once for all sets.
    """
    from .. import metrics

    if name in DISPERSIONS:
        return lambda X, y, sets: metrics.dispersion_scores(X, sets, scores=[name])[name]
    if name in INTERNAL:
        metric = name.removeprefix("silhouette_")
        return lambda X, y, sets: metrics.silhouette_scores(X, sets, metric=metric)
    score = _external(name)
    return lambda X, y, sets: [score(y, labels) for labels in sets]


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
