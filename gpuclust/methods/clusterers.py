"""Registry of clusterers.

Defaults are from the zero-shot clustering study (arXiv 2406.02465), but for HDBSCAN: the study
limits its largest cluster to a fifth of the samples (``max_cluster_size=0.2``); here there
is no limit.  The seconds were measured on two cores with 10,000 image embeddings of 50 and of 1,280
dimensions.
"""

from __future__ import annotations

import dataclasses

from ..arrays import METRICS
from . import bindings as to
from .costs import Growth, Work, all_pairs, linear, quadratic
from .method import Implementation, Method
from .param import Param, Params, count, flag

LINKAGES = ("ward", "average", "complete", "weighted", "single")


def _linkage_growth(params: Params) -> Growth:
    """Ward and single linkage need no distance matrix; the other linkages keep one in float32."""
    matrix = None if params["linkage"] in ("ward", "single") else (4, 2)
    return Growth(2, matrix)


def _linkage_seconds(n: int, d: int, k: int) -> float:
    del k
    return n * n * (1e-8 + 4e-11 * d)


_LINKAGE = Param("ward", choices=LINKAGES)
_METRIC = Param("euclidean", choices=METRICS)
_AGGLOMERATIVE = (
    Implementation("gpuclust.algorithms.linkage:Agglomerative", bind=to.agglomerative),
)
_AFFINITY = Implementation("gpuclust.algorithms.affinity:AffinityPropagation", bind=to.seeded)
_COMPILED = "gpuclust.algorithms.affinity.ahead:prepare"
_HDBSCAN = Implementation("gpuclust.algorithms.hdbscan:HDBSCAN", to.hdbscan_own)

CLUSTERERS: dict[str, Method] = {
    "kmeans": Method(
        summary="K-Means, k-means++ start",
        cpu=(Implementation("sklearn.cluster:KMeans", to.seeded_k),),
        gpu=(Implementation("cuml.cluster:KMeans", to.resident_seeded_k),),
        params={
            "n_init": count(1),
            "max_iter": count(1000),
            "init": Param("k-means++", choices=("k-means++", "random")),
        },
        takes_k=True,
        seconds=lambda n, d, k: 4e-9 * n * d * k,
        growth=linear,
        # One pass over the samples and the distances to all centers, once.
        work=lambda n, d, k: Work(4.0 * n * d, 2.0 * n * d * k),
    ),
    "spectral": Method(
        summary="spectral clustering of the nearest-neighbor graph",
        cpu=(Implementation("sklearn.cluster:SpectralClustering", to.spectral_cpu),),
        gpu=(Implementation("gpuclust.algorithms.cuml:SpectralClustering", to.spectral_gpu),),
        params={
            "n_neighbors": count(10),
            "assign_labels": Param("cluster_qr", choices=("cluster_qr", "discretize", "kmeans")),
        },
        needs=to.spectral_needs,
        takes_k=True,
        seconds=lambda n, d, k: 0.2 + 5e-11 * n * n * d + 1e-6 * n * k,
        growth=quadratic,
        work=all_pairs,
    ),
    "agglomerative": Method(
        summary="hierarchical clustering cut at k clusters, or at a height",
        cpu=_AGGLOMERATIVE,
        gpu=_AGGLOMERATIVE,
        params={
            "linkage": _LINKAGE,
            "metric": _METRIC,
            "distance_threshold": Param(None, (float,), low=0, optional=True),
            "standardize": flag(default=False),
        },
        check=to.check_linkage,
        takes_k=True,
        seconds=_linkage_seconds,
        growth=_linkage_growth,
        work=all_pairs,
    ),
    "agglomerative_threshold": Method(
        summary="hierarchical clustering cut at the study's height; k is found",
        cpu=_AGGLOMERATIVE,
        gpu=_AGGLOMERATIVE,
        params={
            "distance_threshold": Param(2.0, (float,), low=0),
            "linkage": _LINKAGE,
            "metric": _METRIC,
            "standardize": flag(default=True),
        },
        check=to.check_linkage,
        seconds=_linkage_seconds,
        growth=_linkage_growth,
        work=all_pairs,
    ),
    "affinity": Method(
        summary="affinity propagation; k is found",
        cpu=(dataclasses.replace(_AFFINITY, ahead=_COMPILED),),
        gpu=(_AFFINITY,),
        params={
            "damping": Param(0.9, (float,), low=0.5, high=0.999),
            "max_iter": count(1000),
            "convergence_iter": count(15),
            "preference": Param(None, (float,), optional=True),
        },
        seconds=lambda n, d, k: n * n * (3e-8 + 4.5e-11 * d),
        growth=lambda params: Growth(2, (5.5, 2)),
        # Similarities are written, read for their median, then read and written for the noise.
        work=lambda n, d, k: Work(16.0 * n * n, 1.0 * n * n * d),
    ),
    "hdbscan": Method(
        summary="HDBSCAN; k is found, noise is -1",
        cpu=(
            Implementation("sklearn.cluster:HDBSCAN", to.hdbscan_sklearn, to.trees_help),
            _HDBSCAN,
        ),
        gpu=(
            Implementation("cuml.cluster:HDBSCAN", to.hdbscan_gpu, to.cuml_hdbscan_supports),
            _HDBSCAN,
        ),
        params={
            "min_cluster_size": count(5, low=2),
            "min_samples": count(None, optional=True),
            # A share of the samples; the study takes 0.2.  1.0 and None set no limit.
            "max_cluster_size": Param(1.0, (float,), low=0, high=1, optional=True),
            "metric": _METRIC,
            "cluster_selection_method": Param("eom", choices=("eom", "leaf")),
        },
        check=to.check_largest,
        needs=to.hdbscan_needs,
        remark=to.limit_remark,
        seconds=lambda n, d, k: n * n * (5e-8 if d > 100 else 1e-8),
        growth=quadratic,
        work=all_pairs,
    ),
}
