"""scikit-learn's own code under cuml.accel, without its managed memory."""

NEEDS = {"cuml": "cuml-cu13"}
GPU = True


def _accelerated():
    import cuml.accel

    cuml.accel.install(disable_uvm=True)


def kmeans(X, params, k, seed):
    _accelerated()
    from sklearn.cluster import KMeans

    return KMeans(k, random_state=seed, **params).fit_predict(X)


def hdbscan(X, params, k, seed):
    _accelerated()
    from sklearn.cluster import HDBSCAN

    share = params["max_cluster_size"]
    most = None if share is None else round(share * len(X))
    return HDBSCAN(**{**params, "max_cluster_size": most}, copy=True).fit_predict(X)


def pca(X, params, k, seed):
    _accelerated()
    from sklearn.decomposition import PCA

    return PCA(random_state=seed, **params).fit_transform(X)


METHODS = {"kmeans": kmeans, "hdbscan": hdbscan, "pca": pca}
