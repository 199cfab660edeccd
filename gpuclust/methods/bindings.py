"""Translate parameters to keywords of a library, and check the sizes needed by a method.

The registries `reducers` and `clusterers` name these functions.  Conventions that differ between
libraries are handled only here.  tests/contract checks the keywords against the real packages.
"""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace

from ..errors import CellError, InputError
from .method import Fit
from .param import Params

# scikit-learn, SciPy and umap-learn call l1 "manhattan"; cuML calls it l1.
MANHATTAN = {"l1": "manhattan"}
# cuML's global setting of the output type holds for one thread only, so every estimator gets it:
# labels then stay on the device in every worker.
RESIDENT = {"output_type": "cupy"}


def seeded(params: Params, fit: Fit) -> dict[str, Any]:
    """Add the seed."""
    return {**params, "random_state": fit.seed}


def seeded_k(params: Params, fit: Fit) -> dict[str, Any]:
    """Add the seed and the number of clusters."""
    return {**params, "n_clusters": fit.k, "random_state": fit.seed}


def resident_seeded_k(params: Params, fit: Fit) -> dict[str, Any]:
    """Add the seed, the number of clusters and output on the device, for cuML."""
    return {**seeded_k(params, fit), **RESIDENT}


# ---- pca ----------------------------------------------------------------------------------------


def check_components(name: str, params: Params) -> None:
    """Require a whole number of at least 1 or a share of the variance between 0 and 1."""
    wanted = params["n_components"]
    whole = isinstance(wanted, int)
    if (whole and wanted < 1) or (not whole and not 0 < wanted < 1):
        raise InputError(
            f"{name}: n_components must be a whole number of at least 1 or a share of the variance "
            f"between 0 and 1; got {wanted!r}."
        )


def pca_needs(params: Params, fit: Fit) -> None:
    """Require at most min(n, d) components: cuML does not check this."""
    wanted, most = params["n_components"], min(fit.n, fit.d)
    if isinstance(wanted, int) and wanted > most:
        raise CellError(
            f"pca(n_components={wanted}) needs at least {wanted} samples and dimensions; got "
            f"{fit.n} x {fit.d}. Give at most {most}, or a share of the variance: pca(0.9)."
        )


def pca_gpu(params: Params, fit: Fit) -> dict[str, Any]:
    """Pass no seed: the solver of cuML is deterministic."""
    del fit
    return dict(params)


# ---- umap and pacmap ----------------------------------------------------------------------------


def _umap(params: Params, fit: Fit) -> dict[str, Any]:
    keep = ("n_components", "n_neighbors", "min_dist", "metric")
    seed = fit.seed if params["seeded"] else None
    return {**{key: params[key] for key in keep}, "random_state": seed}


def umap_cpu(params: Params, fit: Fit) -> dict[str, Any]:
    """Give our wrapper of umap-learn the shared neighbor graph."""
    metric = MANHATTAN.get(params["metric"], params["metric"])
    neighbors = fit.neighbors(params["n_neighbors"], params["metric"])
    return {**_umap(params, fit), "metric": metric, "neighbors": neighbors}


def umap_gpu(params: Params, fit: Fit) -> dict[str, Any]:
    """Give cuML the shared neighbor graph; to build its own it would copy X to the host."""
    distances, indices = fit.neighbors(params["n_neighbors"], params["metric"])
    return {
        **_umap(params, fit),
        "precomputed_knn": (indices, distances),
        "build_algo": "brute_force_knn",  # `auto` may choose nn_descent, which reads the host
        "init": "spectral",
        **RESIDENT,
    }


def _check_neighbors(method: str, params: Params, fit: Fit) -> None:
    if params["n_neighbors"] >= fit.n:
        raise CellError(
            f"{method}(n_neighbors={params['n_neighbors']}) needs more samples than neighbors; "
            f"got {fit.n} samples. Give n_neighbors below {fit.n}."
        )


def umap_needs(params: Params, fit: Fit) -> None:
    """Require n > n_neighbors and n >= n_components + 2, for the spectral initialization."""
    _check_neighbors("umap", params, fit)
    if params["n_components"] + 2 > fit.n:
        raise CellError(
            f"umap(n_components={params['n_components']}) needs at least "
            f"{params['n_components'] + 2} samples; got {fit.n}. Give a smaller n_components."
        )


def pacmap_needs(params: Params, fit: Fit) -> None:
    """Require 30 samples: PaCMAP hangs below about ten (PaCMAP issue 127)."""
    del params
    if fit.n < 30:
        raise CellError(f"pacmap needs at least 30 samples; got {fit.n}. Use pca or none.")


# ---- spectral -----------------------------------------------------------------------------------


def spectral_cpu(params: Params, fit: Fit) -> dict[str, Any]:
    """Use the nearest-neighbor graph, as in the study."""
    return {**seeded_k(params, fit), "affinity": "nearest_neighbors", "n_jobs": -1}


def spectral_gpu(params: Params, fit: Fit) -> dict[str, Any]:
    """Use our class on cuML's eigenvectors: cuML's own class assigns labels by k-means only."""
    _, indices = fit.neighbors(params["n_neighbors"], "euclidean")
    return {**seeded_k(params, fit), "neighbors": indices}


def spectral_needs(params: Params, fit: Fit) -> None:
    """Require fewer clusters and fewer neighbors than samples."""
    _check_neighbors("spectral", params, fit)
    if fit.k is not None and fit.k >= fit.n:
        raise CellError(
            f"spectral finds at most n - 1 clusters; got k={fit.k} for {fit.n} samples. "
            "Give a smaller k, or use kmeans or agglomerative."
        )


# ---- agglomerative ------------------------------------------------------------------------------


def check_linkage(name: str, params: Params) -> None:
    """Require the euclidean metric for Ward linkage."""
    if params["linkage"] == "ward" and params["metric"] != "euclidean":
        raise InputError(
            f"{name}: linkage=ward is defined for metric=euclidean only; got "
            f"metric={params['metric']}. Use linkage=average, complete, weighted or single with it."
        )


def agglomerative(params: Params, fit: Fit) -> dict[str, Any]:
    """Share one tree per linkage and metric between all numbers of clusters and heights."""
    return {**params, "n_clusters": fit.k, "memory": fit.trees}


# ---- hdbscan ------------------------------------------------------------------------------------


def _max_size(params: Params, fit: Fit) -> int | None:
    """Convert the largest allowed cluster from a share of n to a number of samples."""
    share = params["max_cluster_size"]
    return None if share in (None, 1) else max(1, round(share * fit.n))


def check_largest(name: str, params: Params) -> None:
    """Refuse a largest cluster of no samples."""
    if params["max_cluster_size"] == 0:
        raise InputError(
            f"{name}: max_cluster_size is a share of the samples above 0 and up to 1, or None for "
            "no limit; got 0."
        )


def limit_remark(params: Params, labels: Any) -> str | None:
    """Report that most samples are noise while the size of a cluster is limited."""
    share = params["max_cluster_size"]
    if share in (None, 1):
        return None
    xp = array_namespace(labels)
    noise = float(xp.mean(xp.astype(labels == -1, xp.float32)))
    if noise < 0.5:
        return None
    return (
        f"{noise:.0%} of the samples are noise, and no cluster may hold more than {share:.0%} of "
        "them (max_cluster_size). Clear groups above this size are lost: max_cluster_size=None "
        "removes the limit."
    )


def trees_help(params: Params, fit: Fit) -> bool:
    """Whether scikit-learn's tree search is faster than brute force: up to 20 dimensions.

    Measured up to 40,000 samples (benchmarks/LOG.md).  No tree works with the cosine distance.
    """
    return fit.d <= 20 and params["metric"] != "cosine"


def hdbscan_sklearn(params: Params, fit: Fit) -> dict[str, Any]:
    """Keywords of scikit-learn's HDBSCAN."""
    keep = ("min_cluster_size", "min_samples", "cluster_selection_method")
    return {
        **{key: params[key] for key in keep},
        "max_cluster_size": _max_size(params, fit),
        "metric": MANHATTAN.get(params["metric"], params["metric"]),
        "n_jobs": -1,
        "copy": True,
    }


def hdbscan_own(params: Params, fit: Fit) -> dict[str, Any]:
    """Keywords of our HDBSCAN; it follows scikit-learn's conventions."""
    return {**params, "max_cluster_size": _max_size(params, fit)}


def cuml_hdbscan_supports(params: Params, fit: Fit) -> bool:
    """Whether cuML can run this: euclidean metric, 2 to 1,024 neighbors, clusters below n."""
    wanted = params["min_samples"] or params["min_cluster_size"]
    small_enough = params["min_cluster_size"] < fit.n and wanted < fit.n
    return params["metric"] == "euclidean" and 2 <= wanted <= 1024 and small_enough


def hdbscan_gpu(params: Params, fit: Fit) -> dict[str, Any]:
    """Pass min_samples - 1: cuML does not count a sample as its own neighbor."""
    wanted = params["min_samples"] or params["min_cluster_size"]
    return {
        "min_cluster_size": params["min_cluster_size"],
        "min_samples": wanted - 1,
        "max_cluster_size": _max_size(params, fit) or 0,
        "metric": "euclidean",
        "cluster_selection_method": params["cluster_selection_method"],
        "build_algo": "brute_force",
        **RESIDENT,
    }


def hdbscan_needs(params: Params, fit: Fit) -> None:
    """Require at least min_samples samples."""
    wanted = params["min_samples"] or params["min_cluster_size"]
    if wanted > fit.n:
        raise CellError(
            f"hdbscan uses {wanted} neighbors of every sample; got {fit.n} samples. "
            "Give a smaller min_samples or min_cluster_size."
        )
