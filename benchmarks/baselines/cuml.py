"""RAPIDS cuML, called on device arrays, for work of gpuclust's own algorithms."""

NEEDS = {"cuml": "cuml-cu13"}
GPU = True


def place(array):
    from gpuclust.device import backend

    on = backend.select("gpu")
    on.prepare()  # the memory pool of gpuclust, before cuML allocates
    return on.put(array)


def agglomerative(X, params, k, seed):
    from cuml.cluster import AgglomerativeClustering

    if (params["linkage"], params["metric"]) != ("single", "euclidean"):
        raise ValueError(f"cuML only has single linkage, euclidean; got {params}.")
    model = AgglomerativeClustering(n_clusters=k, linkage="single", connectivity="pairwise")
    return model.fit_predict(X).get()


def neighbors(X, k):
    from cuml.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=k, algorithm="brute", metric="euclidean").fit(X)
    return model.kneighbors(return_distance=False).get()


def silhouette(X, y, labels):
    from cuml.metrics.cluster import silhouette_score

    return float(silhouette_score(X, labels))


METHODS = {"agglomerative": agglomerative, "neighbors": neighbors}
SCORES = {"silhouette_euclidean": silhouette}
