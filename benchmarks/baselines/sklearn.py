"""scikit-learn, with the parameters of the study."""

import warnings

NEEDS = {}


def kmeans(X, params, k, seed):
    from sklearn.cluster import KMeans

    return KMeans(k, random_state=seed, **params).fit_predict(X)


def spectral(X, params, k, seed):
    from sklearn.cluster import SpectralClustering

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        how = {"affinity": "nearest_neighbors", "n_jobs": -1, "random_state": seed}
        return SpectralClustering(k, **how, **params).fit_predict(X)


def agglomerative(X, params, k, seed):
    from sklearn.cluster import AgglomerativeClustering

    metric = {"l1": "manhattan"}.get(params["metric"], params["metric"])
    return AgglomerativeClustering(k, metric=metric, linkage=params["linkage"]).fit_predict(X)


def affinity(X, params, k, seed):
    from sklearn.cluster import AffinityPropagation

    return AffinityPropagation(random_state=seed, **params).fit_predict(X)


def hdbscan(X, params, k, seed):
    from sklearn.cluster import HDBSCAN

    share = params["max_cluster_size"]
    most = None if share is None else round(share * len(X))
    return HDBSCAN(**{**params, "max_cluster_size": most}, n_jobs=-1, copy=True).fit_predict(X)


def pca(X, params, k, seed):
    from sklearn.decomposition import PCA

    return PCA(random_state=seed, **params).fit_transform(X)


def neighbors(X, k):
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=k, algorithm="brute", n_jobs=-1).fit(X)
    return model.kneighbors(X, return_distance=False)


def _external(name):
    def score(X, y, labels):
        from sklearn import metrics

        return getattr(metrics, name)(y, labels)

    return score


def _internal(name, **how):
    def score(X, y, labels):
        from sklearn import metrics

        return getattr(metrics, name)(X, labels, **how)

    return score


METHODS = {
    "kmeans": kmeans,
    "spectral": spectral,
    "agglomerative": agglomerative,
    "affinity": affinity,
    "hdbscan": hdbscan,
    "pca": pca,
    "neighbors": neighbors,
}
SCORES = {
    "ami": _external("adjusted_mutual_info_score"),
    "nmi": _external("normalized_mutual_info_score"),
    "ari": _external("adjusted_rand_score"),
    "fmi": _external("fowlkes_mallows_score"),
    "homogeneity": _external("homogeneity_score"),
    "completeness": _external("completeness_score"),
    "v_measure": _external("v_measure_score"),
    "calinski_harabasz": _internal("calinski_harabasz_score"),
    "davies_bouldin": _internal("davies_bouldin_score"),
    "silhouette_euclidean": _internal("silhouette_score", metric="euclidean"),
    "silhouette_cosine": _internal("silhouette_score", metric="cosine"),
    "silhouette_l1": _internal("silhouette_score", metric="manhattan"),
    "silhouette_chebyshev": _internal("silhouette_score", metric="chebyshev"),
}
