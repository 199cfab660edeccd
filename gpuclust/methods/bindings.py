"""From our parameters to the keywords of a library, and the sizes that a method needs.

Every function here is named in the tables of `methods`.  Conventions that differ between the two
sides are met here and nowhere else; that a real class takes what is made here is tested against the
real packages (tests/contract).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import CellError, InputError
from .method import Fit

Params = Mapping[str, Any]
# What scikit-learn, SciPy and umap-learn call our l1. cuML takes l1 as it is.
MANHATTAN = {"l1": "manhattan"}
# cuML's estimators mirror the type of their input, and its global setting is of one thread only:
# said to each of them, labels stay on the device in every worker.
RESIDENT = {"output_type": "cupy"}


def seeded(params: Params, fit: Fit) -> dict[str, Any]:
    """Add the seed."""
    return {**params, "random_state": fit.seed}


def seeded_k(params: Params, fit: Fit) -> dict[str, Any]:
    """Add the seed and the number of clusters."""
    return {**params, "n_clusters": fit.k, "random_state": fit.seed}


def resident_seeded_k(params: Params, fit: Fit) -> dict[str, Any]:
    """The same for cuML."""
    return {**seeded_k(params, fit), **RESIDENT}


# ---- pca ----------------------------------------------------------------------------------------


def check_components(name: str, params: Params) -> None:
    """Take a whole number from 1 or a share of the variance between 0 and 1."""
    wanted = params["n_components"]
    whole = isinstance(wanted, int)
    if (whole and wanted < 1) or (not whole and not 0 < wanted < 1):
        raise InputError(
            f"{name}: n_components must be a whole number of at least 1 or a share of the variance "
            f"between 0 and 1; got {wanted!r}."
        )


def pca_needs(params: Params, fit: Fit) -> None:
    """No more components than samples and dimensions: cuML would not notice."""
    wanted, most = params["n_components"], min(fit.n, fit.d)
    if isinstance(wanted, int) and wanted > most:
        raise CellError(
            f"pca(n_components={wanted}) needs at least that many samples and dimensions; got "
            f"{fit.n} x {fit.d}. Ask for at most {most}, or for a share of the variance: pca(0.9)."
        )


def pca_gpu(params: Params, fit: Fit) -> dict[str, Any]:
    """The solver of cuML has no randomness, hence no seed."""
    del fit
    return dict(params)


# ---- umap and pacmap ----------------------------------------------------------------------------


def _umap(params: Params, fit: Fit) -> dict[str, Any]:
    keep = ("n_components", "n_neighbors", "min_dist", "metric")
    seed = fit.seed if params["seeded"] else None
    return {**{key: params[key] for key in keep}, "random_state": seed}


def umap_cpu(params: Params, fit: Fit) -> dict[str, Any]:
    """Our cover of umap-learn takes the graph of this space."""
    metric = MANHATTAN.get(params["metric"], params["metric"])
    neighbors = fit.neighbors(params["n_neighbors"], params["metric"])
    return {**_umap(params, fit), "metric": metric, "neighbors": neighbors}


def umap_gpu(params: Params, fit: Fit) -> dict[str, Any]:
    """Give cuML the graph of this space on the device: it would copy X to the host for its own."""
    distances, indices = fit.neighbors(params["n_neighbors"], params["metric"])
    return {
        **_umap(params, fit),
        "precomputed_knn": (indices, distances),
        "build_algo": "brute_force_knn",  # what `auto` must never become: nn_descent reads the host
        "init": "spectral",
        **RESIDENT,
    }


def _neighbours_need(method: str, params: Params, fit: Fit) -> None:
    if params["n_neighbors"] >= fit.n:
        raise CellError(
            f"{method}(n_neighbors={params['n_neighbors']}) needs more samples than neighbours; "
            f"got {fit.n} samples. Give n_neighbors below {fit.n}."
        )


def umap_needs(params: Params, fit: Fit) -> None:
    """The spectral start needs an eigenvector per component, and more samples than these."""
    _neighbours_need("umap", params, fit)
    if params["n_components"] + 2 > fit.n:
        raise CellError(
            f"umap(n_components={params['n_components']}) needs at least "
            f"{params['n_components'] + 2} samples; got {fit.n}. Give a smaller n_components."
        )


def pacmap_needs(params: Params, fit: Fit) -> None:
    """Upstream hangs below about ten samples (PaCMAP issue 127)."""
    del params
    if fit.n < 30:
        raise CellError(f"pacmap needs at least 30 samples; got {fit.n}. Use pca or none.")


# ---- spectral -----------------------------------------------------------------------------------


def spectral_cpu(params: Params, fit: Fit) -> dict[str, Any]:
    """The graph of nearest neighbours, as in the study."""
    return {**seeded_k(params, fit), "affinity": "nearest_neighbors", "n_jobs": -1}


def spectral_gpu(params: Params, fit: Fit) -> dict[str, Any]:
    """Our class on cuML's eigenvectors: cuML's own assigns by k-means only."""
    _, indices = fit.neighbors(params["n_neighbors"], "euclidean")
    return {**seeded_k(params, fit), "neighbors": indices}


def spectral_needs(params: Params, fit: Fit) -> None:
    """Fewer clusters and fewer neighbours than samples."""
    _neighbours_need("spectral", params, fit)
    if fit.k is not None and fit.k >= fit.n:
        raise CellError(
            f"spectral finds at most n - 1 clusters; got k={fit.k} for {fit.n} samples. "
            "Give a smaller k, or use kmeans or agglomerative."
        )


# ---- agglomerative ------------------------------------------------------------------------------


def check_linkage(name: str, params: Params) -> None:
    """Ward is defined in euclidean space."""
    if params["linkage"] == "ward" and params["metric"] != "euclidean":
        raise InputError(
            f"{name}: linkage=ward is defined for metric=euclidean only; got "
            f"metric={params['metric']}. Use linkage=average, complete, weighted or single with it."
        )


def agglomerative(params: Params, fit: Fit) -> dict[str, Any]:
    """One tree per linkage serves every number of clusters and every height."""
    return {**params, "n_clusters": fit.k, "memory": fit.trees}


# ---- hdbscan ------------------------------------------------------------------------------------


def _most(params: Params, fit: Fit) -> int | None:
    """The share of the samples that the largest cluster may hold, as a number of samples."""
    share = params["max_cluster_size"]
    return None if share is None else max(1, round(share * fit.n))


def trees_help(params: Params, fit: Fit) -> bool:
    """Tell where scikit-learn's trees search neighbours faster than we: in few dimensions.

    Measured up to 40,000 samples (benchmarks/LOG.md).  For the cosine it has no tree.
    """
    return fit.d <= 20 and params["metric"] != "cosine"


def hdbscan_sklearn(params: Params, fit: Fit) -> dict[str, Any]:
    """scikit-learn's keywords."""
    keep = ("min_cluster_size", "min_samples", "cluster_selection_method")
    return {
        **{key: params[key] for key in keep},
        "max_cluster_size": _most(params, fit),
        "metric": MANHATTAN.get(params["metric"], params["metric"]),
        "n_jobs": -1,
        "copy": True,
    }


def hdbscan_ours(params: Params, fit: Fit) -> dict[str, Any]:
    """Our own class keeps scikit-learn's conventions."""
    return {**params, "max_cluster_size": _most(params, fit)}


def cuml_hdbscan_takes(params: Params, fit: Fit) -> bool:
    """Tell what cuML can do: the euclidean metric, 2 to 1,024 neighbours, clusters below n."""
    wanted = params["min_samples"] or params["min_cluster_size"]
    small_enough = params["min_cluster_size"] < fit.n and wanted < fit.n
    return params["metric"] == "euclidean" and 2 <= wanted <= 1024 and small_enough


def hdbscan_gpu(params: Params, fit: Fit) -> dict[str, Any]:
    """In cuML a sample is not its own neighbour: scikit-learn's k is its k - 1."""
    wanted = params["min_samples"] or params["min_cluster_size"]
    return {
        "min_cluster_size": params["min_cluster_size"],
        "min_samples": wanted - 1,
        "max_cluster_size": _most(params, fit) or 0,
        "metric": "euclidean",
        "cluster_selection_method": params["cluster_selection_method"],
        "build_algo": "brute_force",
        **RESIDENT,
    }


def hdbscan_needs(params: Params, fit: Fit) -> None:
    """As many samples as neighbours."""
    wanted = params["min_samples"] or params["min_cluster_size"]
    if wanted > fit.n:
        raise CellError(
            f"hdbscan looks at {wanted} neighbours of every sample; got {fit.n} samples. "
            "Give a smaller min_samples or min_cluster_size."
        )
