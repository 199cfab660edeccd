"""The tables of methods: one entry per reducer and per clusterer, with its CPU and its GPU forms.

Classes are named by strings and imported when they are built, so that listing and checking methods
costs nothing and needs neither side installed.  Defaults are those of the zero-shot clustering
study (arXiv 2406.02465).  What each class is called with is in `translate`.
"""

from __future__ import annotations

from . import bindings as to
from .method import Fit, Form, Method, Param

__all__ = ["CLUSTERERS", "KNEIGHBORS", "REDUCERS", "Fit", "Form", "Method", "Param"]

COUNT = {"kinds": (int,), "low": 1}
METRICS = ("euclidean", "l1", "chebyshev", "cosine")
LINKAGES = ("ward", "average", "complete", "weighted", "single")

# (X, k, metric=, include_self=True) -> (distances, indices): the graph that the methods of a space
# share.
KNEIGHBORS = {
    "cpu": "gpuclust.arrays.neighbors:kneighbors",
    "gpu": "gpuclust.algorithms.cuml:kneighbors",
}


def _both(path: str, **how) -> dict[str, tuple[Form, ...]]:
    """One class of ours for both sides: it follows the array that it is given."""
    return {"cpu": (Form(path, **how),), "gpu": (Form(path, **how),)}


REDUCERS: dict[str, Method] = {
    "none": Method("the embedding as it is", **_both("gpuclust.algorithms.scale:Identity")),
    "l2": Method(
        "every sample scaled to length 1", **_both("gpuclust.algorithms.scale:UnitLength")
    ),
    "zscore": Method(
        "every dimension to mean 0, sd 1", **_both("gpuclust.algorithms.scale:ZScore")
    ),
    "pca": Method(
        "principal components: a number of them, or a share of the variance",
        cpu=(Form("sklearn.decomposition:PCA", to.seeded),),
        gpu=(Form("gpuclust.algorithms.cuml:PCA", to.pca_gpu),),
        params={
            "n_components": Param(50, (int, float)),
            "whiten": Param(default=False, kinds=(bool,)),
        },
        check=to.check_components,
        needs=to.pca_needs,
    ),
    "umap": Method(
        "UMAP with the study's settings: 50 dimensions, 30 neighbours, min_dist 0",
        cpu=(Form("gpuclust.algorithms.umap:UMAP", to.umap_cpu),),
        gpu=(Form("cuml.manifold:UMAP", to.umap_gpu),),
        params={
            "n_components": Param(50, **COUNT),
            "n_neighbors": Param(30, (int,), low=2),
            "min_dist": Param(0.0, (float,), low=0, high=1),
            "metric": Param("euclidean", choices=METRICS),
            # False: another layout every time; cuML need not be deterministic then.
            "seeded": Param(default=True, kinds=(bool,)),
        },
        needs=to.umap_needs,
    ),
    "pacmap": Method(
        "PaCMAP on the CPU",
        cpu=(Form("pacmap:PaCMAP", to.seeded),),
        gpu=(),
        params={
            "n_components": Param(50, **COUNT),
            "n_neighbors": Param(None, (int,), low=2, optional=True),
        },
        needs=to.pacmap_needs,
        extra="pacmap",
    ),
}

_TREE = {
    "linkage": Param("ward", choices=LINKAGES),
    "metric": Param("euclidean", choices=METRICS),
}
_HEIGHT = {"kinds": (float,), "low": 0}
_AGGLOMERATIVE = _both("gpuclust.algorithms.linkage:Agglomerative", bind=to.agglomerative)

CLUSTERERS: dict[str, Method] = {
    "kmeans": Method(
        "K-Means, k-means++ start",
        cpu=(Form("sklearn.cluster:KMeans", to.seeded_k),),
        gpu=(Form("cuml.cluster:KMeans", to.resident_seeded_k),),
        params={
            "n_init": Param(1, **COUNT),
            "max_iter": Param(1000, **COUNT),
            "init": Param("k-means++", choices=("k-means++", "random")),
        },
        takes_k=True,
    ),
    "spectral": Method(
        "spectral clustering of the nearest-neighbour graph",
        cpu=(Form("sklearn.cluster:SpectralClustering", to.spectral_cpu),),
        gpu=(Form("gpuclust.algorithms.cuml:SpectralClustering", to.spectral_gpu),),
        params={
            "n_neighbors": Param(10, **COUNT),
            "assign_labels": Param("cluster_qr", choices=("cluster_qr", "discretize", "kmeans")),
        },
        needs=to.spectral_needs,
        takes_k=True,
    ),
    "agglomerative": Method(
        "hierarchical clustering cut at k clusters, or at a height",
        **_AGGLOMERATIVE,
        params={
            **_TREE,
            "distance_threshold": Param(None, **_HEIGHT, optional=True),
            "standardize": Param(default=False, kinds=(bool,)),
        },
        check=to.check_linkage,
        takes_k=True,
    ),
    "agglomerative_threshold": Method(
        "hierarchical clustering cut at the study's height; k is found",
        **_AGGLOMERATIVE,
        params={
            "distance_threshold": Param(2.0, **_HEIGHT),
            **_TREE,
            "standardize": Param(default=True, kinds=(bool,)),
        },
        check=to.check_linkage,
    ),
    "affinity": Method(
        "affinity propagation; k is found",
        **_both("gpuclust.algorithms.affinity:AffinityPropagation", bind=to.seeded),
        params={
            "damping": Param(0.9, (float,), low=0.5, high=0.999),
            "max_iter": Param(1000, **COUNT),
            "convergence_iter": Param(15, **COUNT),
            "preference": Param(None, (float,), optional=True),
        },
    ),
    "hdbscan": Method(
        "HDBSCAN; k is found, noise is -1",
        cpu=(
            Form("sklearn.cluster:HDBSCAN", to.hdbscan_sklearn, to.trees_help),
            Form("gpuclust.algorithms.hdbscan:HDBSCAN", to.hdbscan_ours),
        ),
        gpu=(
            Form("cuml.cluster:HDBSCAN", to.hdbscan_gpu, to.cuml_hdbscan_takes),
            Form("gpuclust.algorithms.hdbscan:HDBSCAN", to.hdbscan_ours),
        ),
        params={
            "min_cluster_size": Param(5, (int,), low=2),
            "min_samples": Param(None, (int,), low=1, optional=True),
            "max_cluster_size": Param(0.2, (float,), low=0, high=1, optional=True),
            "metric": Param("euclidean", choices=METRICS),
            "cluster_selection_method": Param("eom", choices=("eom", "leaf")),
        },
        needs=to.hdbscan_needs,
    ),
}
