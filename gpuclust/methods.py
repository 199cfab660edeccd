"""The tables of methods: one entry per reducer and per clusterer, with its CPU and its GPU class.

Classes are named by strings and imported when they are built, so that listing and checking methods
costs nothing and needs neither side installed.  Defaults are those of the zero-shot clustering
study (arXiv 2406.02465).  A library's own parameter names are met in `bind`, nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import CellError, InputError
from .method import Fit, Method, Param

COUNT = {"kinds": (int,), "low": 1}
METRICS = ("euclidean", "l1", "chebyshev", "cosine")
LINKAGES = ("ward", "average", "complete", "weighted", "single")
# What scikit-learn, SciPy and umap-learn call our l1.
MANHATTAN = {"l1": "manhattan"}


def _seeded(params: Mapping[str, Any], fit: Fit) -> dict[str, Any]:
    return {**params, "random_state": fit.seed}


def _seeded_k(params: Mapping[str, Any], fit: Fit) -> dict[str, Any]:
    return {**params, "n_clusters": fit.k, "random_state": fit.seed}


def _check_components(name: str, params: Mapping[str, Any]) -> None:
    wanted = params["n_components"]
    whole = isinstance(wanted, int)
    if (whole and wanted < 1) or (not whole and not 0 < wanted < 1):
        raise InputError(
            f"{name}: n_components must be a whole number of at least 1 or a share of the variance "
            f"between 0 and 1; got {wanted!r}."
        )


def _pca_needs(params: Mapping[str, Any], fit: Fit) -> None:
    wanted, most = params["n_components"], min(fit.n, fit.d)
    if isinstance(wanted, int) and wanted > most:
        raise CellError(
            f"pca(n_components={wanted}) needs at least that many samples and dimensions; got "
            f"{fit.n} x {fit.d}. Ask for at most {most}, or for a share of the variance: pca(0.9)."
        )


def _umap(params: Mapping[str, Any], fit: Fit) -> dict[str, Any]:
    # n_jobs=1 is what a seed forces anyway; saying so keeps umap-learn from warning about it.
    metric = MANHATTAN.get(params["metric"], params["metric"])
    return {**_seeded(params, fit), "metric": metric, "n_jobs": 1}


def _neighbours_need(method: str, params: Mapping[str, Any], fit: Fit) -> None:
    if params["n_neighbors"] >= fit.n:
        raise CellError(
            f"{method}(n_neighbors={params['n_neighbors']}) needs more samples than neighbours; "
            f"got {fit.n} samples. Give n_neighbors below {fit.n}."
        )


def _umap_needs(params: Mapping[str, Any], fit: Fit) -> None:
    _neighbours_need("umap", params, fit)
    if params["n_components"] + 2 > fit.n:  # the spectral start needs that many eigenvectors
        raise CellError(
            f"umap(n_components={params['n_components']}) needs at least "
            f"{params['n_components'] + 2} samples; got {fit.n}. Give a smaller n_components."
        )


def _pacmap_needs(params: Mapping[str, Any], fit: Fit) -> None:
    if fit.n < 30:  # upstream hangs below about ten samples (PaCMAP issue 127)
        raise CellError(f"pacmap needs at least 30 samples; got {fit.n}. Use pca or none.")


def _spectral(params: Mapping[str, Any], fit: Fit) -> dict[str, Any]:
    return {**_seeded_k(params, fit), "affinity": "nearest_neighbors", "n_jobs": -1}


def _spectral_needs(params: Mapping[str, Any], fit: Fit) -> None:
    _neighbours_need("spectral", params, fit)
    if fit.k is not None and fit.k >= fit.n:
        raise CellError(
            f"spectral finds at most n - 1 clusters; got k={fit.k} for {fit.n} samples. "
            "Give a smaller k, or use kmeans or agglomerative."
        )


def _check_linkage(name: str, params: Mapping[str, Any]) -> None:
    if params["linkage"] == "ward" and params["metric"] != "euclidean":
        raise InputError(
            f"{name}: linkage=ward is defined for metric=euclidean only; got "
            f"metric={params['metric']}. Use linkage=average, complete, weighted or single with it."
        )


def _agglomerative(params: Mapping[str, Any], fit: Fit) -> dict[str, Any]:
    return {**params, "n_clusters": fit.k, "memory": fit.trees}


def _hdbscan(params: Mapping[str, Any], fit: Fit) -> dict[str, Any]:
    share = params["max_cluster_size"]
    most = None if share is None else max(1, round(share * fit.n))
    metric = MANHATTAN.get(params["metric"], params["metric"])
    keep = {key: params[key] for key in ("min_cluster_size", "min_samples")}
    method = params["cluster_selection_method"]
    # Trees are no help in many dimensions: 150 s against 6 s at 10,000 x 1,280, the same labels
    # (benchmarks/LOG.md). The matrix of distances costs 20 n^2 bytes, so it has its limit.
    brute = fit.d > 100 and fit.n <= 20_000
    return keep | {
        "algorithm": "brute" if brute else "auto",
        "max_cluster_size": most,
        "metric": metric,
        "cluster_selection_method": method,
        "n_jobs": -1,
        "copy": True,
    }


def _hdbscan_needs(params: Mapping[str, Any], fit: Fit) -> None:
    wanted = params["min_samples"] or params["min_cluster_size"]
    if wanted > fit.n:
        raise CellError(
            f"hdbscan looks at {wanted} neighbours of every sample; got {fit.n} samples. "
            "Give a smaller min_samples or min_cluster_size."
        )


REDUCERS: dict[str, Method] = {
    "none": Method("the embedding as it is", "gpuclust.algorithms.scale:Identity", None),
    "l2": Method("every sample scaled to length 1", "gpuclust.algorithms.scale:UnitLength", None),
    "zscore": Method("every dimension to mean 0, sd 1", "gpuclust.algorithms.scale:ZScore", None),
    "pca": Method(
        "principal components: a number of them, or a share of the variance",
        "sklearn.decomposition:PCA",
        None,
        {
            "n_components": Param(50, (int, float)),
            "whiten": Param(default=False, kinds=(bool,)),
        },
        bind=_seeded,
        check=_check_components,
        needs=_pca_needs,
    ),
    "umap": Method(
        "UMAP with the study's settings: 50 dimensions, 30 neighbours, min_dist 0",
        "umap:UMAP",
        None,
        {
            "n_components": Param(50, **COUNT),
            "n_neighbors": Param(30, (int,), low=2),
            "min_dist": Param(0.0, (float,), low=0, high=1),
            "metric": Param("euclidean", choices=METRICS),
        },
        bind=_umap,
        needs=_umap_needs,
    ),
    "pacmap": Method(
        "PaCMAP on the CPU",
        "pacmap:PaCMAP",
        None,
        {
            "n_components": Param(50, **COUNT),
            "n_neighbors": Param(None, (int,), low=2, optional=True),
        },
        bind=_seeded,
        needs=_pacmap_needs,
        extra="pacmap",
    ),
}

_TREE = {
    "linkage": Param("ward", choices=LINKAGES),
    "metric": Param("euclidean", choices=METRICS),
}
_HEIGHT = {"kinds": (float,), "low": 0}

CLUSTERERS: dict[str, Method] = {
    "kmeans": Method(
        "K-Means, k-means++ start",
        "sklearn.cluster:KMeans",
        None,
        {
            "n_init": Param(1, **COUNT),
            "max_iter": Param(1000, **COUNT),
            "init": Param("k-means++", choices=("k-means++", "random")),
        },
        bind=_seeded_k,
        takes_k=True,
    ),
    "spectral": Method(
        "spectral clustering of the nearest-neighbour graph",
        "sklearn.cluster:SpectralClustering",
        None,
        {
            "n_neighbors": Param(10, **COUNT),
            "assign_labels": Param("cluster_qr", choices=("cluster_qr", "discretize", "kmeans")),
        },
        bind=_spectral,
        needs=_spectral_needs,
        takes_k=True,
    ),
    "agglomerative": Method(
        "hierarchical clustering cut at k clusters, or at a height",
        "gpuclust.algorithms.agglomerative:Agglomerative",
        None,
        {
            **_TREE,
            "distance_threshold": Param(None, **_HEIGHT, optional=True),
            "standardize": Param(default=False, kinds=(bool,)),
        },
        bind=_agglomerative,
        check=_check_linkage,
        takes_k=True,
    ),
    "agglomerative_threshold": Method(
        "hierarchical clustering cut at the study's height; k is found",
        "gpuclust.algorithms.agglomerative:Agglomerative",
        None,
        {
            "distance_threshold": Param(2.0, **_HEIGHT),
            **_TREE,
            "standardize": Param(default=True, kinds=(bool,)),
        },
        bind=_agglomerative,
        check=_check_linkage,
    ),
    "affinity": Method(
        "affinity propagation; k is found",
        "gpuclust.algorithms.affinity:AffinityPropagation",
        None,
        {
            "damping": Param(0.9, (float,), low=0.5, high=0.999),
            "max_iter": Param(1000, **COUNT),
            "convergence_iter": Param(15, **COUNT),
            "preference": Param(None, (float,), optional=True),
        },
        bind=_seeded,
    ),
    "hdbscan": Method(
        "HDBSCAN; k is found, noise is -1",
        "sklearn.cluster:HDBSCAN",
        None,
        {
            "min_cluster_size": Param(5, (int,), low=2),
            "min_samples": Param(None, (int,), low=1, optional=True),
            "max_cluster_size": Param(0.2, (float,), low=0, high=1, optional=True),
            "metric": Param("euclidean", choices=METRICS),
            "cluster_selection_method": Param("eom", choices=("eom", "leaf")),
        },
        bind=_hdbscan,
        needs=_hdbscan_needs,
    ),
}
