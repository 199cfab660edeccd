"""scikit-learn's estimators under cuml.accel, without its managed memory.

Managed memory pages, and can hang a card that is short of memory.
"""

from types import SimpleNamespace

NEEDS = {"cuml": "cuml-cu13"}
GPU = True
last = SimpleNamespace(model=None)


def facts():
    """Return whether the last fit ran on the GPU: cuml.accel falls back silently."""
    # cuml.accel keeps its own estimator there.
    return {"on_gpu": getattr(last.model, "_gpu", None) is not None}


def _run(model, method, X):
    last.model = model
    return getattr(model, method)(X)


def _accelerated():
    import cuml.accel

    cuml.accel.install(disable_uvm=True)


def kmeans(X, params, k, seed):
    _accelerated()
    from sklearn.cluster import KMeans

    return _run(KMeans(k, random_state=seed, **params), "fit_predict", X)


def spectral(X, params, k, seed):
    _accelerated()
    from sklearn.cluster import SpectralClustering

    how = {"affinity": "nearest_neighbors", "random_state": seed}
    return _run(SpectralClustering(k, **how, **params), "fit_predict", X)


def hdbscan(X, params, k, seed):
    _accelerated()
    from sklearn.cluster import HDBSCAN

    share = params["max_cluster_size"]
    most = None if share is None else round(share * len(X))
    model = HDBSCAN(**{**params, "max_cluster_size": most}, algorithm="brute", copy=True)
    return _run(model, "fit_predict", X)


def pca(X, params, k, seed):
    _accelerated()
    from sklearn.decomposition import PCA

    return _run(PCA(random_state=seed, **params), "fit_transform", X)


METHODS = {"kmeans": kmeans, "spectral": spectral, "hdbscan": hdbscan, "pca": pca}
